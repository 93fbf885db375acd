"""Jobs: asked for once however often, claimed by one process at a time, taken up again when that process dies."""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from models_registry.actions.lock import lock_jobs
from models_registry.models import Job
from models_registry.queries.model import find_channel_to_manage, is_protected_at_engines
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.bounds import JOBS, require_room
from ollamamax.identity.rights import require, require_in_tenant, require_somewhere
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound, OllamaMaxError
from ollamamax.kernel.principal import Principal, system

LEASE = datetime.timedelta(seconds=15)
MOST_ATTEMPTS = 5
"""How often a job is taken up: one that ends its process each time must not do so for ever."""
MOST_OF_ONE_TENANT = 2
"""Jobs of one tenant that run at once, so that others find a place."""
_ACTIVE = (Job.State.WAITING, Job.State.RUNNING)
PROTECTED = "'{}' is protected: end that first."
_log = logs.get(__name__)


def submit_job(*, acting: Principal, kind: str, model: str, request: dict[str, Any]) -> Job:
    """A new job, or the one that was asked for in the same words and is not over. ``request`` is JSON.

    To push and delete, ``acting`` manages the model; to pull and create, which bring others in, all of them.
    Raises `Forbidden`, and `ModelNotFound`.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        _require_to_ask(acting, kind, model)
        job, joined = _asked_for(acting, tenant, kind, model, request)
        record(
            acting=acting,
            action=f"job.{kind}",
            target_type="job",
            target_id=job.id,
            tenant=tenant,
            detail={"model": model, "joined": joined},
        )
    return job


def retry_job(*, acting: Principal, job_id: uuid.UUID) -> Job:
    """Ask again for what a job that failed or was cancelled was asked for: a new job, or the one that is at it already.

    What the first one fetched is not fetched again. Who may try it is who may ask for it (`submit_job`).
    Raises `NotFound`, and `Conflict` for a job that is under way or done.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        before = Job.objects.filter(pk=job_id).first()
        if before is None:
            raise NotFound("There is no such job.")
        if before.state not in {Job.State.FAILED, Job.State.CANCELLED}:
            raise Conflict(f"The job is {before.state}: only one that failed or was cancelled is tried again.")
        _require_to_ask(acting, before.kind, before.model)
        job, joined = _asked_for(acting, tenant, before.kind, before.model, before.request)
        record(
            acting=acting,
            action="job.retry",
            target_type="job",
            target_id=job.id,
            tenant=tenant,
            detail={"model": job.model, "kind": job.kind, "again": before.id.hex, "joined": joined},
        )
    return job


def _require_to_ask(acting: Principal, kind: str, model: str) -> None:
    """Raises `Forbidden`, `ModelNotFound`, and `Conflict` for a protected name: an engine would have deleted its bytes before the name is kept."""
    if kind == Job.Kind.DELETE and find_channel_to_manage(acting, model).protected:
        raise Conflict(PROTECTED.format(model), param="model")
    if kind in (Job.Kind.PULL, Job.Kind.CREATE) and is_protected_at_engines(model):
        raise Conflict(PROTECTED.format(model), param="model")
    if kind not in (Job.Kind.PUSH, Job.Kind.DELETE):
        require(acting, "model.manage")
    elif not acting.may("model.manage"):
        find_channel_to_manage(acting, model)


def _asked_for(
    acting: Principal, tenant: uuid.UUID, kind: str, model: str, request: dict[str, Any]
) -> tuple[Job, bool]:
    """The job, and whether it was there already."""
    fingerprint = hashlib.sha256(json.dumps([kind, request], sort_keys=True).encode()).hexdigest()
    lock_jobs(tenant)
    active = Job.objects.filter(state__in=_ACTIVE)
    job = active.filter(kind=kind, fingerprint=fingerprint).first()
    if job is not None:
        return job, True
    require_room(JOBS, active)
    made = Job.objects.create(
        tenant_id=tenant,
        kind=kind,
        model=model,
        request=request,
        fingerprint=fingerprint,
        actor_kind=acting.kind,
        actor_id=acting.id,
        actor_name=acting.name[:200],
    )
    return made, False


def cancel_job(*, acting: Principal, job_id: uuid.UUID) -> Job:
    """End a job; for one that is over nothing happens. Who is at it notices within a second or two. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None:
            raise NotFound("There is no such job.")
        if not job.is_over:
            job.state, job.finished_at, job.error = Job.State.CANCELLED, timezone.now(), "The job was cancelled."
            job.error_code, job.error_status, job.bytes_per_second = "cancelled", 499, None
            job.save(update_fields=["state", "finished_at", "error", "error_code", "error_status", "bytes_per_second"])
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


def renew_job(
    job: uuid.UUID, holder: str, progress: list[dict[str, Any]], bytes_per_second: float | None = None
) -> bool:
    """Say that the holder is still at it, how far and how fast. False when it is not its job any more. Queries: 1."""
    with every_tenant():
        mine = Job.objects.filter(pk=job, holder=holder, state=Job.State.RUNNING)
        told = {"progress": progress, "bytes_per_second": bytes_per_second}
        return bool(mine.update(lease_until=timezone.now() + LEASE, **told))


def finish_job(
    job: uuid.UUID,
    holder: str,
    progress: list[dict[str, Any]],
    error: OllamaMaxError | None = None,
    imported: Sequence[str] = (),
) -> bool:
    """The holder is done with it. False when it was not its job any more: then nothing changes. Queries: 1, and 4 where it was."""
    changes: dict[str, Any] = {
        "state": Job.State.DONE,
        "progress": progress,
        "imported": list(imported),
        "bytes_per_second": None,
        "finished_at": timezone.now(),
    }
    if error is not None:
        changes |= {
            "state": Job.State.FAILED,
            "error": error.message[:2000],
            "error_code": error.code,
            "error_status": error.status,
        }
    with every_tenant(), transaction.atomic():
        changed = bool(Job.objects.filter(pk=job, holder=holder, state=Job.State.RUNNING).update(**changes))
        if changed:
            _record_end(Job.objects.get(pk=job))
    return changed


def release_job(job: uuid.UUID, holder: str, *, failed: bool = False) -> None:
    """The holder stops before the job is over: another may take it up at once. ``failed`` counts as an attempt."""
    changes: dict[str, Any] = {
        "state": Job.State.WAITING,
        "holder": "",
        "lease_until": None,
        "bytes_per_second": None,
    }
    with every_tenant():
        mine = Job.objects.filter(pk=job, holder=holder, state=Job.State.RUNNING)
        mine.update(**changes, **({} if failed else {"attempts": 0}))


def _give_up(job: Job) -> None:
    with transaction.atomic():
        changed = Job.objects.filter(pk=job.pk, attempts=job.attempts, state=job.state).update(
            state=Job.State.FAILED,
            finished_at=timezone.now(),
            error=f"The process that ran this job died, or lost the database, {job.attempts} times.",
            error_code="internal_error",
            error_status=500,
        )
        if changed:
            _record_end(Job.objects.get(pk=job.pk))
    _log.error("job_given_up", job=job.id.hex, kind=job.kind, model=job.model)


def _record_end(job: Job) -> None:
    """That a job is over, and why it failed where it did. In the transaction of its end."""
    failed = job.state == Job.State.FAILED
    record(
        acting=system("jobs"),
        action="job.fail" if failed else "job.done",
        target_type="job",
        target_id=job.id,
        tenant=job.tenant_id,
        detail={"model": job.model, "kind": job.kind} | ({"error": job.error} if failed else {}),
    )
