"""Reads what the live topics show of Postgres: the audit trail of a tenant by its numbers, its jobs and its incidents."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Any

from django.db.models import F

from cluster.queries.incident import incidents
from dashboard.payloads import IncidentRow, IncidentsShown, JobRow, JobsShown, Trail, TrailEntry
from models_registry.queries.job import jobs
from ollamamax.audit.personal import opened
from ollamamax.audit.queries import head_numbers, records_between
from ollamamax.identity.scope import tenant_scope

SHOWN = 50
LOOKED_AT = 1000
"""Of the newest records, in which a snapshot looks for those of its topic."""
MOST_MISSED = 200
"""Records that who comes back is told of; of more there is a snapshot instead."""
TARGETS = {"keys": "key", "audit": None}
"""Topic -> the kind of target that it is about; ``None`` for all."""


def numbers(tenants: Collection[str]) -> dict[str, int]:
    """Tenant -> number of the last record of its trail; 0 where there is none."""
    return dict.fromkeys(tenants, 0) | head_numbers(tenants)


def trail(tenant: str, topic: str) -> tuple[int, Trail]:
    """The newest of the topic, and the number up to which they reach."""
    last = numbers([tenant])[tenant]
    found = _entries(tenant, topic, last - LOOKED_AT, last)
    return last, Trail(found[:SHOWN])


def missed(tenant: str, topic: str, after: int, last: int) -> Trail | None:
    """What came after number ``after`` up to ``last``; ``None`` where that is too much, or ``after`` is not reached yet."""
    if not 0 <= last - after <= MOST_MISSED:
        return None
    return Trail(_entries(tenant, topic, after, last))


def _entries(tenant: str, topic: str, after: int, last: int) -> list[TrailEntry]:
    return [
        TrailEntry(
            number=record.seq,
            at=record.at.timestamp(),
            action=record.action,
            actor_kind=record.actor_kind,
            actor_name=record.actor_name,
            target_type=record.target_type,
            target_id=record.target_id,
        )
        for record in opened(records_between(tenant, after, last, TARGETS[topic]))
    ]


def job_rows(tenant: str) -> JobsShown:
    with tenant_scope(uuid.UUID(tenant)):
        return JobsShown([_job(job) for job in jobs().order_by("-id")[:SHOWN]])


def incident_rows(tenant: str) -> IncidentsShown:
    """Queries: 2."""
    with tenant_scope(uuid.UUID(tenant)):
        rows = incidents().defer("evidence", "timeline").order_by(F("closed_at").desc(nulls_first=True), "-pk")
        return IncidentsShown([_incident(row) for row in rows[:SHOWN]], incidents().filter(closed_at=None).count())


def _incident(row: Any) -> IncidentRow:
    return IncidentRow(
        id=row.pk.hex,
        kind=row.kind,
        severity=row.severity,
        text=row.text,
        about=row.about,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        opened_at=row.opened_at.timestamp(),
        closed_at=None if row.closed_at is None else row.closed_at.timestamp(),
        reopened=row.reopened,
        acknowledged_by=row.acknowledged_by,
        silenced_until=None if row.silenced_until is None else row.silenced_until.timestamp(),
    )


ROWS: dict[str, Callable[[str], JobsShown | IncidentsShown]] = {"jobs": job_rows, "incidents": incident_rows}
"""Topics that are told whole, of Postgres, and how each tenant's are read."""


def _job(job: Any) -> JobRow:
    last: dict[str, Any] = job.progress[-1] if job.progress else {}
    return JobRow(
        id=str(job.id),
        kind=job.kind,
        model=job.model,
        state=job.state,
        step=str(last.get("status", "")),
        done=last.get("completed"),
        total=last.get("total"),
        error=job.error,
        actor_name=job.actor_name,
        created_at=job.created_at.timestamp(),
        started_at=None if job.started_at is None else job.started_at.timestamp(),
        finished_at=None if job.finished_at is None else job.finished_at.timestamp(),
    )
