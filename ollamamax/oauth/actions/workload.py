"""Writes of workloads."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory
from ollamamax.identity.actions.key import issue_key, revoke_key
from ollamamax.identity.bounds import WORKLOADS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import EVERYWHERE, Reach
from ollamamax.oauth.models import Workload
from ollamamax.oauth.queries.workload import lock_workload, workloads
from ollamamax.oauth.workload_claims import Rules, checked_rules
from ollamamax.outbound.addresses import OutboundRefused, checked_url

LONGEST_ISSUER = 1000
LONGEST_AUDIENCE = 255
LONGEST_REFRESH = 86_400


def create_workload(
    *,
    acting: Principal,
    name: str,
    service_account: uuid.UUID,
    issuer: str,
    audience: str,
    rules: Rules,
    permissions: Iterable[str] | None = None,
    reach: Reach = EVERYWHERE,
    refresh_seconds: int = 0,
) -> Workload:
    """Trust what ``issuer`` says to ``audience`` of a program, with a key of the service account whose secret is thrown away.

    ``refresh_seconds``: for how long after the issuer's word it may go on by refresh tokens.

    Its limits, its end and its budgets are those of that key. Raises as `issue_key` does, and `InvalidRequest` for an issuer that may not be asked.
    """
    tenant = require_in_tenant(acting, "key.manage")
    held = checked_rules(rules)
    _require_askable(issuer)
    if not 0 < len(audience) <= LONGEST_AUDIENCE:
        raise InvalidRequest(f"An audience has 1 to {LONGEST_AUDIENCE} characters.", param="audience")
    if not 0 <= refresh_seconds <= LONGEST_REFRESH:
        raise InvalidRequest(
            f"Refresh tokens follow one another for {LONGEST_REFRESH} seconds at most.", param="refresh_seconds"
        )
    with tenant_scope(tenant), transaction.atomic(durable=True):
        require_room(WORKLOADS, workloads())
    key, _ = issue_key(
        acting=acting,
        name=name,
        permissions=permissions,
        service_account=service_account,
        reach=reach,
        has_secret=False,
    )
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(WORKLOADS, workloads())
            workload = Workload.objects.create(
                tenant_id=tenant,
                key=key,
                name=key.name,
                issuer=issuer,
                audience=audience,
                rules=held,
                refresh_seconds=refresh_seconds,
                created_by_name=acting.name[:254],
            )
            record(
                acting=acting,
                action="workload.create",
                target_type="workload",
                target_id=workload.id,
                tenant=tenant,
                detail={
                    "name": workload.name,
                    "key": key.id.hex,
                    "issuer": issuer,
                    "audience": audience,
                    "rules": held,
                    "refresh_seconds": refresh_seconds,
                },
            )
    except (IntegrityError, Conflict) as error:
        revoke_key(acting=acting, key_id=key.id)
        if isinstance(error, Conflict):
            raise
        raise Conflict("There is a workload of this name already.", param="name") from error
    return workload


def delete_workload(*, acting: Principal, workload_id: uuid.UUID) -> None:
    """Its key is revoked, and what runs with its tokens ends within a second. Raises `NotFound` also for those of others."""
    tenant = require_in_tenant(acting, "key.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        workload = lock_workload(acting, workload_id)
        key = workload.key
        record(
            acting=acting,
            action="workload.delete",
            target_type="workload",
            target_id=workload.id,
            tenant=tenant,
            detail={"name": workload.name, "key": key.id.hex},
        )
        workload.delete()
        if key.revoked_at is None:
            key.revoked_at = timezone.now()
            key.save(update_fields=["revoked_at"])
            directory.publish_key_on_commit(key)


def note_workload_use(workload: Workload) -> None:
    """At the time of a token. Queries: 1."""
    with tenant_scope(workload.tenant_id):
        Workload.objects.filter(pk=workload.pk).update(used_at=timezone.now())


def _require_askable(issuer: str) -> None:
    if not 0 < len(issuer) <= LONGEST_ISSUER:
        raise InvalidRequest("An issuer is an address.", param="issuer")
    try:
        checked_url(issuer, settings.OUTBOUND_RULES)
    except OutboundRefused as error:
        raise InvalidRequest(f"This issuer cannot be asked: {error}", param="issuer") from error
