"""Runs claimed jobs in threads of the controller: its loops must not wait for a download of gigabytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from django.db import Error as DatabaseError
from django.db import connections

from models_registry.actions import job as jobs
from models_registry.jobs.work import Stopped, Work
from models_registry.models import Job
from ollamamax import logs
from ollamamax.kernel.errors import OllamaMaxError, Unavailable
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.principal import Principal
from ollamamax.observability.instruments import counter

AT_ONCE = 4
BEAT_SECONDS = 0.5
_JOBS = counter("ollamamax_jobs_total")
_log = logs.get(__name__)

Kinds = Mapping[str, Callable[[Principal, Job, Work], None]]


class _DatabaseLost(Unavailable):
    """It is tried again."""


class JobRunner:
    """``kinds`` says what each kind of job does. One per process."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        for kind in kinds:
            _JOBS.labels(kind, "ok")  # a rate needs a value to start from
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, Work] = {}
        self._stopped = False

    def start_waiting(self) -> None:
        """Take up jobs as long as there is a place. Returns at once."""
        with self._lock:
            self._running = {thread: work for thread, work in self._running.items() if thread.is_alive()}
            while len(self._running) < AT_ONCE and not self._stopped:
                # A name for each time: a process that lost a job and takes it up again is another holder.
                holder = new_id()
                job = jobs.claim_job(holder)
                if job is None:
                    return
                work = Work()
                thread = threading.Thread(target=self._run, args=(job, holder, work), name=f"job {job.id}", daemon=True)
                self._running[thread] = work
                thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Let go of all jobs, so that another process can take them up at once."""
        with self._lock:
            self._stopped = True
            running = dict(self._running)
        for work in running.values():
            work.stopping.set()
        for thread in running:
            thread.join(seconds)

    def _run(self, job: Job, holder: str, work: Work) -> None:
        over = threading.Event()
        beat = threading.Thread(target=_beat, args=(job, holder, work, over), name=f"beat {job.id}", daemon=True)
        beat.start()
        _log.info("job_begins", job=job.id.hex, kind=job.kind, model=job.model, attempt=job.attempts)
        error: OllamaMaxError | None = None
        try:
            self._kinds[job.kind](_acting(job), job, work)
        except OllamaMaxError as caught:
            error = caught
        except DatabaseError as caught:
            _log.warning("job_lost_database", job=job.id.hex, error=str(caught))
            error = _DatabaseLost("The database does not answer.")
        except Exception:  # noqa: BLE001 - a defect in one job must not end the controller
            _log.exception("job_broke", job=job.id.hex)
            error = OllamaMaxError("Something broke in this server; the log has the details.")
        over.set()
        beat.join()
        try:
            self._end(job, holder, work, error)
        except DatabaseError as caught:
            # Its lease lapses, and it is taken up again.
            _log.warning("job_not_finished", job=job.id.hex, error=str(caught))
        finally:
            connections.close_all()

    def _end(self, job: Job, holder: str, work: Work, error: OllamaMaxError | None) -> None:
        progress = work.snapshot()
        if isinstance(error, Stopped) and self._stopped:
            jobs.release_job(job.id, holder)
            result = "let_go"
        elif isinstance(error, _DatabaseLost):
            jobs.release_job(job.id, holder, failed=True)
            result = "let_go"
        elif not isinstance(error, Stopped):
            jobs.finish_job(job.id, holder, progress, error, work.imported)
            result = "ok" if error is None else "failed"
        else:
            result = "cancelled"
        _JOBS.labels(job.kind, result).inc()
        _log.info("job_ends", job=job.id.hex, kind=job.kind, model=job.model, error=error.code if error else "")


def _beat(job: Job, holder: str, work: Work, over: threading.Event) -> None:
    """Keep the lease and the progress; stop the work when the job is not ours any more."""
    held_until = time.monotonic() + jobs.LEASE.total_seconds()
    try:
        while not over.wait(BEAT_SECONDS):
            try:
                if not jobs.renew_job(job.id, holder, work.snapshot(), work.speed()):
                    work.stopping.set()
                    return
                held_until = time.monotonic() + jobs.LEASE.total_seconds()
            except DatabaseError as error:
                _log.warning("job_lease_not_renewed", job=job.id.hex, error=str(error))
                connections.close_all()
                if time.monotonic() > held_until:
                    work.stopping.set()
                    return
    finally:
        connections.close_all()


def _acting(job: Job) -> Principal:
    """Who asked for the job; what they may do was checked then."""
    kind = job.actor_kind
    return Principal(
        kind=kind,  # type: ignore[arg-type]
        id=job.actor_id,
        tenant=job.tenant_id.hex,
        name=job.actor_name,
        permissions=frozenset({"model.manage"}),
        request=job.id.hex,
    )
