"""The process that runs batches: claims them, keeps its leases, hears of cancellations, sweeps files."""

from __future__ import annotations

import asyncio
import uuid

from django.utils import timezone

from ollamamax import logs
from ollamamax.batches.actions.lease import WORK, claim_batch, give_back, renew_leases
from ollamamax.batches.actions.progress import LeaseLost
from ollamamax.batches.actions.sweep import sweep_files
from ollamamax.batches.models import Batch
from ollamamax.batches.runner.run import EXPIRED, BatchRun, Shared
from ollamamax.blobs.store import Sources
from ollamamax.bus.database import in_database_at_last
from ollamamax.bus.directory import Directory
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.gateway.app import Gateway
from ollamamax.kernel.errors import Unavailable
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

RENEW_SECONDS = 0.4
"""Also how soon a cancellation is heard of."""
CLAIM_SECONDS = 3.0
"""After so long it is asked for work without a call."""
SWEEP_SECONDS = 600.0
GRACE_SECONDS = 10.0
"""How long requests may go on after SIGTERM; what does not finish is asked again by the next runner."""
MOST_BATCHES = 32
_log = logs.get(__name__)


class BatchRunner:
    """`run` returns after `stop`, with every batch given back."""

    def __init__(
        self,
        gateway: Gateway,
        store: Sources,
        calls: WorkCalls,
        *,
        concurrency: int,
        most_bytes: int,
        most_lines: int,
    ) -> None:
        self.id = new_id()
        self._gateway = gateway
        self._store = store
        self._calls = calls
        self._concurrency = concurrency
        self._most_bytes = most_bytes
        self._most_lines = most_lines
        self._runs: dict[uuid.UUID, tuple[BatchRun, asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        directory = await self._directory()
        if directory is None:
            return
        shared = Shared(
            self.id,
            self._gateway,
            directory,
            self._store,
            self._concurrency,
            self._most_bytes,
            self._most_lines,
            asyncio.Semaphore(self._concurrency),
        )
        claims = asyncio.create_task(self._claim(shared), name="claim")
        renewals = asyncio.create_task(self._renew(), name="renew")
        sweeps = asyncio.create_task(self._sweep(), name="sweep")
        _log.info("batches_started", runner=self.id)
        try:
            await self._stopping.wait()
            await end([claims])
            await self._end_runs()
        finally:
            await end([claims, renewals, sweeps, *(task for _, task in self._runs.values())])
            await self._gateway.stop()

    async def _end_runs(self) -> None:
        held = dict(self._runs)
        tasks = [task for _, task in held.values()]
        for run, _ in held.values():
            run.drain()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            for run, _ in held.values():
                run.halt()
            await asyncio.wait(tasks, timeout=GRACE_SECONDS / 2)
        for batch in held:
            await in_database_at_last(give_back, self.id, batch)

    async def _directory(self) -> Directory | None:
        """Once Redis answers; ``None`` when it is stopped before."""
        while not self._stopping.is_set():
            try:
                return await self._gateway.directory.soon()
            except Unavailable as error:
                _log.warning("batches_wait_for_redis", error=error.message)
        return None

    async def _claim(self, shared: Shared) -> None:
        while True:
            batch = await in_database_at_last(claim_batch, self.id) if len(self._runs) < MOST_BATCHES else None
            if batch is None or batch in self._runs:
                await self._calls.wait(WORK, CLAIM_SECONDS)
                continue
            run = BatchRun(shared, batch)
            self._runs[batch] = (run, asyncio.create_task(self._watch(run, batch)))

    async def _watch(self, run: BatchRun, batch: uuid.UUID) -> None:
        try:
            await run.run()
        except LeaseLost:
            _log.warning("batch_lost", batch=batch.hex, runner=self.id)
        except Exception:  # noqa: BLE001 - the other batches go on, and the log has the trace
            # Its lease lapses by itself: that is the pause before another try.
            _log.exception("batch_broke", batch=batch.hex)
        finally:
            self._runs.pop(batch, None)
            self._calls.call(WORK)

    async def _renew(self) -> None:
        while True:
            before = dict(self._runs)
            held = await in_database_at_last(renew_leases, self.id, list(before)) if before else {}
            now = timezone.now()
            for batch, (run, task) in before.items():
                known = held.get(batch)
                if known is None:
                    task.cancel()  # it has ended, or another runner has it
                elif known.is_cancelling:
                    run.halt()
                elif now >= known.expires_at:
                    run.halt((Batch.Status.EXPIRED, EXPIRED))
            await asyncio.sleep(RENEW_SECONDS)

    async def _sweep(self) -> None:
        while True:
            try:
                removed = await in_database_at_last(sweep_files, self._store)
            except OSError as error:
                _log.warning("sweep_failed", error=str(error))
            else:
                if removed:
                    _log.info("files_swept", removed=removed)
            await asyncio.sleep(SWEEP_SECONDS)
