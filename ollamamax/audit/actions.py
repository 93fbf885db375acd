"""The one way to write the audit trail: a record in the same transaction as what it tells of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit import chain
from ollamamax.audit.models import AuditRecord, ChainHead
from ollamamax.kernel.principal import Principal
from ollamamax.observability.instruments import FewValues, counter

SYSTEM = "system"
"""The chain of what belongs to no tenant."""

log = logs.get(__name__)
_RECORDS = counter("ollamamax_audit_records_total")
_areas = FewValues(64)


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
    stand or fall with the change it tells of. Queries: 1 to lock, 1 to read the head, 1 to insert.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an audit record must be written in the transaction of its change")
    name = chain_of(tenant)
    _lock(name)
    head = ChainHead.objects.filter(chain=name).first()
    fields: dict[str, Any] = {
        "chain": name,
        "seq": head.seq + 1 if head else 1,
        "at": timezone.now(),
        "actor_kind": acting.kind,
        "actor_id": acting.id,
        "actor_name": acting.name,
        "action": action,
        "target_type": target_type,
        "target_id": target_id.hex if isinstance(target_id, uuid.UUID) else target_id,
        "request": acting.request,
        "detail": chain.plain(detail or {}),
        "prev_hash": head.hash if head else chain.GENESIS,
    }
    written = AuditRecord.objects.create(**fields, hash=chain.digest(fields))
    # The log leaves the database, so the chain's end is known outside it too.
    transaction.on_commit(lambda: _tell(written), robust=True)
    return written


def _tell(written: AuditRecord) -> None:
    log.info("audit", chain=written.chain, seq=written.seq, action=written.action, hash=written.hash)
    _RECORDS.labels(_areas(written.action.partition(".")[0])).inc()


def chain_of(tenant: uuid.UUID | str | None) -> str:
    """The chain's name: the tenant's UUID as 32 hexadecimal digits, or ``system``."""
    if tenant is None:
        return SYSTEM
    return tenant.hex if isinstance(tenant, uuid.UUID) else uuid.UUID(tenant).hex


def _lock(name: str) -> None:
    """Without it two writers would read the same head, and the second would be refused instead of waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"audit:{name}"])
