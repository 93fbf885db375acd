"""The directory's tables ``keys`` and ``tenants``: what the data plane needs to know of every key that works, and of tenants."""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Iterable, Mapping
from typing import cast

import redis
from django.db import models

from ollamamax import logs
from ollamamax.bus import publication, regions
from ollamamax.bus.publication import Fields
from ollamamax.contract.tables import KEYS, SIGNING_KEYS, TENANTS, KnownKey, KnownTenant, Priority
from ollamamax.identity.models import ApiKey, Tenant
from ollamamax.identity.queries import key as queries
from ollamamax.identity.queries import signing_key
from ollamamax.identity.queries import tenant as tenant_queries
from ollamamax.identity.queries.key import KeyText
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import Unavailable

WRITABLE = "omx:writable"
_AT_ONCE = 500
log = logs.get(__name__)


def known_keys(fields: Fields = None) -> dict[str, KnownKey]:
    """The keys of these identifiers that work now. Queries."""
    with every_tenant():
        found = queries.usable_keys()
        if fields is not None:
            found = found.filter(queries.with_identifier(fields))
        entries: dict[str, KnownKey] = {}
        rows = found.iterator(chunk_size=_AT_ONCE)
        while some := list(itertools.islice(rows, _AT_ONCE)):
            within = queries.within_keys(some)
            entries |= {text.identifier: _entry(key, text, within) for key in some for text in queries.texts_of(key)}
    return entries if fields is None else {name: entries[name] for name in fields if name in entries}


def _entry(key: ApiKey, text: KeyText, within: Mapping[str, Iterable[str]]) -> KnownKey:
    """Of a row of `usable_keys`, by one of its texts."""
    rights = queries.rights_of_key(key, within)
    grants: dict[str, list[str]] = {}
    for permission, target in sorted(rights.grants):
        grants.setdefault(permission, []).append(target)
    return KnownKey(
        hash=text.secret_hash,
        kind="key",
        id=key.id.hex,
        tenant=key.tenant_id.hex,
        name=key.name,
        permissions=sorted(rights.permissions),
        expires_at=text.expires_at,
        limits=key.limits,
        priority=cast("Priority", key.priority),
        strict_fields=key.strict_fields,
        grants=grants,
        made_by=key.created_by_id.hex if key.created_by_id else "",
        teams=queries.teams_of_key(key),
        reach=key.reach,
    )


def known_tenants(fields: Fields = None) -> dict[str, KnownTenant]:
    """The tenants of these ids. One query."""
    found = tenant_queries.tenants()
    if fields is not None:
        found = found.filter(pk__in=[uuid.UUID(field) for field in fields])
    return {tenant.id.hex: _tenant_entry(tenant) for tenant in found.iterator()}


def _tenant_entry(tenant: Tenant) -> KnownTenant:
    return KnownTenant(
        weight=tenant.weight,
        limits=tenant.limits,
        show_route=tenant.show_route,
        store_responses=tenant.store_responses,
        strict_fields=tenant.strict_fields,
        prompt_key=base64.b64encode(tenant.prompt_key).decode() if tenant.prompt_days and tenant.prompt_key else "",
    )


publication.answers(KEYS, known_keys)
publication.answers(SIGNING_KEYS, signing_key.known_signing_keys)
publication.answers(TENANTS, known_tenants)


def publish_tenant_on_commit(tenant: Tenant) -> None:
    """After the commit, tell all gateways what is true of the tenant now."""
    publication.publish_on_commit(TENANTS, [tenant.id.hex])


def publish_key_on_commit(key: ApiKey) -> None:
    """After the commit, tell all gateways what has become of the key."""
    publication.publish_on_commit(KEYS, [each for each in (key.identifier, key.previous_identifier) if each])


def publish_keys_on_commit(keys: models.QuerySet[ApiKey]) -> None:
    """After the commit, tell all gateways what has become of these keys, which are found now. Queries."""
    found = keys.values_list("identifier", "previous_identifier")
    publication.publish_on_commit(KEYS, [each for both in found for each in both if each])


def require_writable() -> None:
    """Raises `Unavailable` when what is published now would not arrive: for what is worthless until it has."""
    try:
        regions.own().client.set(WRITABLE, b"", ex=60)
    except redis.RedisError as error:
        log.warning("directory_refuses_writes", error=type(error).__name__)
        raise Unavailable("The key could not be told to the gateways, and was not made.", retry_after=5) from error
