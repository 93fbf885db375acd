"""The directory's tables ``keys`` and ``tenants``: what the data plane needs to know of every key that works, and of tenants."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import cast

import redis
from django.db import models, transaction

from ollamamax import logs
from ollamamax.bus import directory, shared
from ollamamax.contract.tables import KEYS, TENANTS, KnownKey, KnownTenant, Priority
from ollamamax.identity.models import ApiKey, Tenant
from ollamamax.identity.queries import key as queries
from ollamamax.identity.queries import tenant as tenant_queries
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import Unavailable

WRITABLE = "omx:writable"
log = logs.get(__name__)


def all_keys() -> dict[str, bytes]:
    """All that belongs in the table now, of every tenant. Queries."""
    with every_tenant():
        return {key.identifier: entry(key) for key in queries.usable_keys().iterator()}


def entry(key: ApiKey) -> bytes:
    """Of a row of `usable_keys`."""
    rights = queries.rights_of_key(key)
    grants: dict[str, list[str]] = {}
    for permission, target in sorted(rights.grants):
        grants.setdefault(permission, []).append(target)
    return KEYS.encode(
        KnownKey(
            hash=key.secret_hash,
            kind="key",
            id=key.id.hex,
            tenant=key.tenant_id.hex,
            name=key.name,
            permissions=sorted(rights.permissions),
            expires_at=None if key.expires_at is None else key.expires_at.timestamp(),
            limits=key.limits,
            priority=cast("Priority", key.priority),
            grants=grants,
        )
    )


def all_tenants() -> dict[str, bytes]:
    """All that belongs in the table ``tenants`` now. One query."""
    return {tenant.id.hex: tenant_entry(tenant) for tenant in tenant_queries.tenants().iterator()}


def tenant_entry(tenant: Tenant) -> bytes:
    return TENANTS.encode(
        KnownTenant(tenant.weight, tenant.limits, tenant.show_route, tenant.store_responses, tenant.strict_fields)
    )


def publish_tenant_on_commit(tenant: Tenant) -> None:
    """After the commit, tell all gateways what is true of the tenant now."""
    transaction.on_commit(lambda: _publish_tenant(tenant.id))


def publish_key_on_commit(key: ApiKey) -> None:
    """After the commit, tell all gateways what has become of the key."""
    transaction.on_commit(lambda: _publish_key(key.id, key.identifier))


def publish_keys_on_commit(keys: models.QuerySet[ApiKey]) -> None:
    """After the commit, tell all gateways what has become of these keys, which are found now. Queries."""
    identifiers = list(keys.values_list("identifier", flat=True))
    transaction.on_commit(lambda: _publish_keys(identifiers))


def require_writable() -> None:
    """Raises `Unavailable` when what is published now would not arrive: for what is worthless until it has."""
    try:
        shared.client().set(WRITABLE, b"", ex=60)
    except redis.RedisError as error:
        log.warning("directory_refuses_writes", error=type(error).__name__)
        raise Unavailable("The key could not be told to the gateways, and was not made.", retry_after=5) from error


def publish_on_commit(table: str, changes: Mapping[str, bytes | None]) -> None:
    """After the commit, tell all gateways. When Redis is away this only logs: the table's loop repairs it."""
    transaction.on_commit(lambda: _publish(table, changes))


def _publish_key(key_id: uuid.UUID, identifier: str) -> None:
    # Read again: of two changes that commit close together, the one that publishes last tells the latest state.
    with every_tenant():
        key = queries.usable_keys().filter(pk=key_id).first()
    _publish(KEYS.name, {identifier: None if key is None else entry(key)})


def _publish_keys(identifiers: list[str]) -> None:
    with every_tenant():
        working = {key.identifier: entry(key) for key in queries.usable_keys().filter(identifier__in=identifiers)}
    _publish(KEYS.name, {identifier: working.get(identifier) for identifier in identifiers})


def _publish_tenant(tenant_id: uuid.UUID) -> None:
    tenant = tenant_queries.tenants().filter(pk=tenant_id).first()
    _publish(TENANTS.name, {tenant_id.hex: None if tenant is None else tenant_entry(tenant)})


def _publish(table: str, changes: Mapping[str, bytes | None]) -> None:
    try:
        directory.publish(shared.client(), table, changes)
    except redis.RedisError as error:
        log.warning("directory_publish_failed", table=table, error=type(error).__name__)
