"""The one way to write the audit trail: a record in the same transaction as what it tells of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit import chain, personal
from ollamamax.audit.hidden import without_secrets
from ollamamax.audit.models import AuditRecord, ChainHead, SubjectKey
from ollamamax.kernel.principal import Principal
from ollamamax.observability.instruments import FewValues, counter

SYSTEM = "system"
"""The chain of what belongs to no tenant."""

log = logs.get(__name__)
_RECORDS = counter("ollamamax_audit_records_total")
_areas = FewValues(64)


OUTCOMES = {"refuse": "refused", "lock_out": "refused", "fail": "failed", "give_up": "failed"}
"""The last word of an action that did not come about, to what became of it; every other was done."""


@dataclass(frozen=True)
class Happening:
    """What one record is to tell of."""

    acting: Principal
    action: str
    target_type: str
    target_id: str | uuid.UUID
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(
    *,
    acting: Principal,
    action: str,
    target_type: str,
    target_id: str | uuid.UUID,
    tenant: uuid.UUID | str | None,
    detail: Mapping[str, Any] | None = None,
) -> AuditRecord:
    """Append one record to the tenant's chain (``None``: the system's). Holds that chain until the transaction ends.

    ``detail`` is JSON without secrets. Raises `TransactionManagementError` outside a transaction: a record must
    stand or fall with the change it tells of. The record that is returned shows what is personal. Queries: 1 to lock, 1 to read the head, 1 to
    insert, and 1 or 2 for each subject whose name or address it holds.
    """
    [written] = append(chain_of(tenant), [Happening(acting, action, target_type, target_id, detail or {})])
    return written


def append(name: str, happenings: Sequence[Happening]) -> list[AuditRecord]:
    """Append several records to one chain, in their order. Queries as `record`, with one insert for all."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an audit record must be written in the transaction of its change")
    lock(name)
    head = ChainHead.objects.filter(chain=name).first()
    seq, previous = (head.seq, head.hash) if head else (0, chain.GENESIS)
    # A clock that went back must not put a record into an older partition than the one before it.
    at = max(timezone.now(), head.at) if head and head.at else timezone.now()
    rows: list[AuditRecord] = []
    shown: list[tuple[str, Any, str]] = []
    known_keys: dict[str, SubjectKey] = {}
    for each in happenings:
        seq += 1
        target_id = each.target_id.hex if isinstance(each.target_id, uuid.UUID) else each.target_id
        detail = chain.plain(without_secrets(each.detail))
        fields: dict[str, Any] = {
            "chain": name,
            "seq": seq,
            "at": at,
            "actor_kind": each.acting.kind,
            "actor_id": each.acting.id,
            "action": each.action,
            "target_type": each.target_type,
            "target_id": target_id,
            "request": each.acting.request,
            "prev_hash": previous,
            "format": chain.NEWEST,
            "outcome": OUTCOMES.get(each.action.rpartition(".")[2], "ok"),
        } | personal.sealed(name, each.acting, (each.target_type, target_id), detail, known_keys)
        previous = chain.digest(fields)
        rows.append(AuditRecord(**fields, hash=previous))
        shown.append((each.acting.name, detail, each.acting.address))
    AuditRecord.objects.bulk_create(rows)
    for row, (actor_name, detail, address) in zip(rows, shown, strict=True):
        row.actor_name, row.detail, row.address = actor_name, detail, address
    # The log leaves the database, so the chain's end is known outside it too.
    transaction.on_commit(lambda: _tell(rows), robust=True)
    return rows


def _tell(rows: Sequence[AuditRecord]) -> None:
    for written in rows:
        log.info("audit", chain=written.chain, seq=written.seq, action=written.action, hash=written.hash)
        _RECORDS.labels(_areas(written.action.partition(".")[0])).inc()


def chain_of(tenant: uuid.UUID | str | None) -> str:
    """The chain's name: the tenant's UUID as 32 hexadecimal digits, or ``system``."""
    if tenant is None:
        return SYSTEM
    return tenant.hex if isinstance(tenant, uuid.UUID) else uuid.UUID(tenant).hex


def lock(name: str) -> None:
    """Without it two writers would read the same head, and the second would be refused instead of waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"audit:{name}"])
