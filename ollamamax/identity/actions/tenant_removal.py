"""Removes everything of tenants whose time has come: in slices, each a transaction, so that a process that dies leaves less to do and nothing half.

What there is to remove is found anew each time. The last step leaves one record, in the installation's trail, with where the tenant's own
chain ended, signed. That chain is dropped by the owner of the tables alone (`ollamamax.audit.removal`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import Error as DatabaseError
from django.db import models, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import chain_of, lock, record
from ollamamax.audit.holds import require_no_hold
from ollamamax.audit.removal import destroy_subjects, signed_head
from ollamamax.identity import departure, directory, sockets
from ollamamax.identity.models import Membership, RemovedMember, Team, Tenant, User, UserSession
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import system

SLICE = 500
"""Rows that one transaction removes."""
_log = logs.get(__name__)
Check = Callable[[], None]


def remove_tenants(check: Check) -> int:
    """All whose grace is over; returns how many are gone. ``check`` raises in a transaction of who leads no more. Safe to run twice.

    One that is under legal hold stays as it is, and one for which something is away is tried again by the next run.
    """
    removed = 0
    due = Tenant.objects.filter(deletes_at__lte=timezone.now(), is_operator=False).order_by("deletes_at")
    for tenant_id in list(due.values_list("pk", flat=True)):
        try:
            _remove(tenant_id, check)
            removed += 1
        except Conflict as held:
            _log.warning("tenant_removal_held", tenant=tenant_id.hex, why=held.message)
        except (DatabaseError, redis.RedisError):
            _log.exception("tenant_removal_failed", tenant=tenant_id.hex)
    return removed


def _remove(tenant_id: uuid.UUID, check: Check) -> None:
    for remove in departure.BEFORE_ROWS:
        while _slice(tenant_id, check, remove) == SLICE:
            pass
    for model in departure.owned_models():
        while _slice(tenant_id, check, lambda tenant, most: _remove_rows(model, tenant, most)) == SLICE:  # noqa: B023
            pass
    for forget in departure.AFTER_ROWS:
        forget(tenant_id)
    _finish(tenant_id, check)


def _slice(tenant_id: uuid.UUID, check: Check, remove: departure.RemoveSlice) -> int:
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        _require_due(tenant_id, check)
        return remove(tenant_id, SLICE)


def _require_due(tenant_id: uuid.UUID, check: Check) -> None:
    """Raises `Conflict` under legal hold, which nobody can place before the transaction is over."""
    check()
    lock(chain_of(tenant_id))
    require_no_hold(chain_of(tenant_id))


def _remove_rows(model: type[models.Model], tenant_id: uuid.UUID, most: int) -> int:
    """In the tenant's scope, in which the database itself shows no other tenant's rows."""
    rows = model._base_manager.filter(tenant=tenant_id)
    # In whatever order an index by tenant gives them: by their own, a tenant with few rows of many would be looked for in all.
    some = list(rows.order_by().values_list("pk", flat=True)[:most])
    if not some:
        return 0
    chosen = rows.filter(pk__in=some)
    people: list[uuid.UUID] = []
    groups: list[int] = []
    if model in {Membership, RemovedMember}:
        people = list(chosen.values_list("user", flat=True))
    if model is Team:
        groups = list(chosen.values_list("group", flat=True))
    chosen.delete()
    if groups:
        Group.objects.filter(pk__in=groups).delete()
    if people:
        _forget_people(people, tenant_id)
    return len(some)


def _forget_people(users: Collection[uuid.UUID], tenant_id: uuid.UUID) -> None:
    """Those whom no other tenant knows: their accounts, factors and sessions end. Who is known elsewhere stays as they are."""
    with every_tenant():
        alone = User.objects.filter(pk__in=users)
        for model in departure.owned_models():
            for field in model._meta.fields:
                if field.related_model is User:
                    named: models.QuerySet[Any] = model._base_manager.filter(**{field.name: OuterRef("pk")})
                    elsewhere = named.exclude(tenant=tenant_id)
                    still = named if model in {Membership, RemovedMember} else elsewhere
                    alone = alone.filter(~Exists(still))
        gone = list(alone.values_list("pk", flat=True))
        sessions = UserSession.objects.filter(user__in=gone)
        Session.objects.filter(session_key__in=list(sessions.values_list("session_key", flat=True))).delete()
        User.objects.filter(pk__in=gone).delete()
        sockets.recheck_on_commit(gone)


def _finish(tenant_id: uuid.UUID, check: Check) -> None:
    with every_tenant(), transaction.atomic(durable=True):
        _require_due(tenant_id, check)
        tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        destroy_subjects(chain_of(tenant_id))
        record(
            acting=system("tenant removal"),
            action="tenant.delete",
            target_type="tenant",
            target_id=tenant.id,
            tenant=None,
            detail={
                "slug": tenant.slug,
                "asked_at": _moment(tenant.deletion_asked_at),
                "deletes_at": _moment(tenant.deletes_at),
                "head": signed_head(chain_of(tenant_id), settings.HOME / "audit"),
            },
        )
        directory.publish_tenant_on_commit(tenant)
        tenant.delete()
    _log.info("tenant_removed", tenant=tenant_id.hex)


def _moment(value: Any) -> str:
    return "" if value is None else str(value.isoformat(timespec="seconds"))
