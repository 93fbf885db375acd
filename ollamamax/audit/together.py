"""Group commit: records of several threads that belong to no change are written in one transaction, and each thread goes on once it is committed.

For what is refused, of which there may be very many at once. A change and its record stand in one transaction of their own (`actions.record`).
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field

from django.db import DataError, connection, transaction

from ollamamax.audit.actions import Happening, append, chain_of
from ollamamax.audit.models import AuditRecord

MOST = 500
"""Records of one transaction."""


@dataclass
class _Waiting:
    happening: Happening
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    written: AuditRecord | None = None
    error: BaseException | None = None


_lock = threading.Lock()
_queues: dict[str, list[_Waiting]] = {}
"""Chain -> who waits. A chain is here as long as one of the threads writes its groups."""


def record_together(happening: Happening, tenant: uuid.UUID | str | None) -> AuditRecord:
    """Append one record to the tenant's chain (``None``: the system's), with those that other threads of this process append meanwhile.

    Returns when the record is committed: of what was answered for, the end of a process or a machine loses nothing. Within a transaction
    the record stands in that one alone. Raises what the database says, or `ValueError` for what cannot be kept: then it is not written.
    """
    name = chain_of(tenant)
    if connection.in_atomic_block:
        [written] = append(name, [happening])
        return written
    mine = _Waiting(happening)
    with _lock:
        mine.leads = name not in _queues
        _queues.setdefault(name, []).append(mine)
    if not mine.leads:
        mine.woken.wait()
    if mine.leads:
        _lead(name)
    if mine.written is None:
        raise mine.error or RuntimeError("nobody wrote the record")
    return mine.written


def _lead(name: str) -> None:
    """Write one group, our own record among them, and leave the next to the first who came meanwhile."""
    with _lock:
        group = _queues[name][:MOST]
        del _queues[name][:MOST]
    try:
        _commit(name, group)
    finally:
        with _lock:
            if _queues[name]:
                following = _queues[name][0]
                following.leads = True
                following.woken.set()
            else:
                del _queues[name]
        for each in group:
            each.woken.set()


def _commit(name: str, group: list[_Waiting]) -> None:
    try:
        with transaction.atomic(durable=True):
            written = append(name, [each.happening for each in group])
    except (ValueError, TypeError, DataError) as error:
        if len(group) > 1:  # One of them cannot be kept: the others can.
            for each in group:
                _commit(name, [each])
        else:
            group[0].error = error
    except Exception as error:  # noqa: BLE001 - whatever it is, each of those who wait is told
        for each in group:
            each.error = error
    else:
        for each, row in zip(group, written, strict=True):
            each.written = row
