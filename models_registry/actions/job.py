"""Jobs: asked for once however often, claimed by one process at a time, taken up again when that process dies."""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from models_registry.actions.lock import lock_jobs
from models_registry.models import Job
from models_registry.queries.model import find_channel_to_manage
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.bounds import JOBS, require_room
from ollamamax.identity.rights import require_in_tenant, require_somewhere
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import NotFound, OllamaMaxError
from ollamamax.kernel.principal import Principal

LEASE = datetime.timedelta(seconds=15)
MOST_ATTEMPTS = 5
"""How often a job is taken up: one that ends its process each time must not do so for ever."""
MOST_OF_ONE_TENANT = 2
"""Jobs of one tenant that run at once, so that others find a place."""
_ACTIVE = (Job.State.WAITING, Job.State.RUNNING)
_log = logs.get(__name__)


def submit_job(*, acting: Principal, kind: str, model: str, request: dict[str, Any]) -> Job:
    """A new job, or the one that was asked for in the same words and is not over. ``request`` is JSON.

    To push and delete, ``acting`` manages the model; to pull and create, which bring others in, all of them.
    Raises `Forbidden`, and `ModelNotFound`.
    """
    named = kind in (Job.Kind.PUSH, Job.Kind.DELETE)
    tenant = require_somewhere(acting, "model.manage") if named else require_in_tenant(acting, "model.manage")
    fingerprint = hashlib.sha256(json.dumps([kind, request], sort_keys=True).encode()).hexdigest()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_jobs(tenant)
        if named and not acting.may("model.manage"):
            find_channel_to_manage(acting, model)
        active = Job.objects.filter(state__in=_ACTIVE)
        job = active.filter(kind=kind, fingerprint=fingerprint).first()
        joined = job is not None
        if job is None:
            require_room(JOBS, active)
            job = Job.objects.create(
                tenant_id=tenant,
                kind=kind,
                model=model,
                request=request,
                fingerprint=fingerprint,
                actor_kind=acting.kind,
                actor_id=acting.id,
                actor_name=acting.name[:200],
            )
        record(
            acting=acting,
            action=f"job.{kind}",
            target_type="job",
            target_id=job.id,
            tenant=tenant,
            detail={"model": model, "joined": joined},
        )
    return job


def cancel_job(*, acting: Principal, job_id: uuid.UUID) -> Job:
    """End a job; for one that is over nothing happens. Who is at it notices within a second or two. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None:
            raise NotFound("There is no such job.")
        if not job.is_over:
            job.state, job.finished_at, job.error = Job.State.CANCELLED, timezone.now(), "The job was cancelled."
            job.error_code, job.error_status = "cancelled", 499
            job.save(update_fields=["state", "finished_at", "error", "error_code", "error_status"])
        record(
            acting=acting,
            action="job.cancel",
            target_type="job",
            target_id=job.id,
            tenant=tenant,
            detail={"model": job.model, "kind": job.kind},
        )
    return job


def claim_job(holder: str) -> Job | None:
    """The oldest job that waits or whose holder is gone, now this holder's; ``None`` when there is none.

    Queries: 1 where none is free; else 2, and 1 for each try.
    """
    with every_tenant():
        now = timezone.now()
        free = Q(state=Job.State.WAITING) | Q(state=Job.State.RUNNING, lease_until__lt=now)
        waiting = list(Job.objects.filter(free).order_by("id"))
        if not waiting:
            return None
        running = list(
            Job.objects.filter(state=Job.State.RUNNING, lease_until__gte=now).values_list("tenant_id", flat=True)
        )
        for job in waiting:
            if running.count(job.tenant_id) >= MOST_OF_ONE_TENANT:
                continue
            if job.attempts >= MOST_ATTEMPTS:
                _give_up(job)
                continue
            # Two processes may have read the same row: the one whose update changes it has it.
            changed = Job.objects.filter(free, pk=job.pk).update(
                state=Job.State.RUNNING,
                holder=holder,
                lease_until=now + LEASE,
                attempts=job.attempts + 1,
                started_at=job.started_at or now,
            )
            if changed:
                return Job.objects.get(pk=job.pk)
    return None


def renew_job(job: uuid.UUID, holder: str, progress: list[dict[str, Any]]) -> bool:
    """Say that the holder is still at it, and how far. False when it is not its job any more. Queries: 1."""
    with every_tenant():
        mine = Job.objects.filter(pk=job, holder=holder, state=Job.State.RUNNING)
        return bool(mine.update(lease_until=timezone.now() + LEASE, progress=progress))


def finish_job(
    job: uuid.UUID, holder: str, progress: list[dict[str, Any]], error: OllamaMaxError | None = None
) -> bool:
    """The holder is done with it. False when it was not its job any more: then nothing changes. Queries: 1."""
    changes: dict[str, Any] = {"state": Job.State.DONE, "progress": progress, "finished_at": timezone.now()}
    if error is not None:
        changes |= {
            "state": Job.State.FAILED,
            "error": error.message[:2000],
            "error_code": error.code,
            "error_status": error.status,
        }
    with every_tenant():
        return bool(Job.objects.filter(pk=job, holder=holder, state=Job.State.RUNNING).update(**changes))


def release_job(job: uuid.UUID, holder: str, *, failed: bool = False) -> None:
    """The holder stops before the job is over: another may take it up at once. ``failed`` counts as an attempt."""
    changes: dict[str, Any] = {"state": Job.State.WAITING, "holder": "", "lease_until": None}
    with every_tenant():
        mine = Job.objects.filter(pk=job, holder=holder, state=Job.State.RUNNING)
        mine.update(**changes, **({} if failed else {"attempts": 0}))


def _give_up(job: Job) -> None:
    Job.objects.filter(pk=job.pk, attempts=job.attempts, state=job.state).update(
        state=Job.State.FAILED,
        finished_at=timezone.now(),
        error=f"The process that ran this job died, or lost the database, {job.attempts} times.",
        error_code="internal_error",
        error_status=500,
    )
    _log.error("job_given_up", job=job.id.hex, kind=job.kind, model=job.model)
