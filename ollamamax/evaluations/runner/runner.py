"""Claims evaluations, keeps its leases, and hears of cancellations."""

from __future__ import annotations

import asyncio
import uuid

from ollamamax import logs
from ollamamax.batches.actions.progress import LeaseLost
from ollamamax.bus.database import in_database_at_last
from ollamamax.bus.directory import Directory
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.evaluations.actions.lease import WORK, claim_evaluation, give_back, renew_leases
from ollamamax.evaluations.runner.run import EvaluationRun
from ollamamax.gateway.app import Gateway
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

CLAIM_SECONDS = 3.0
"""After so long it is asked for work without a call."""
RENEW_SECONDS = 0.4
"""Also how soon a cancellation is heard of."""
MOST_HELD = 64
"""Evaluations that a runner has at once. Those that wait for nodes are beyond its concurrency, so that they keep no other from running."""
_log = logs.get(__name__)


class EvaluationRunner:
    """`run` returns when its task is cancelled, with every evaluation given back: the next runner goes on with the case that was under way."""

    def __init__(self, gateway: Gateway, calls: WorkCalls, *, concurrency: int) -> None:
        self.id = new_id()
        self._gateway = gateway
        self._calls = calls
        self._concurrency = concurrency
        self._runs: dict[uuid.UUID, tuple[EvaluationRun, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        directory = await self._gateway.directory.ready()
        loops = [asyncio.create_task(each) for each in (self._claim(directory), self._renew())]
        try:
            await asyncio.gather(*loops)
        finally:
            held = dict(self._runs)
            await end([*loops, *(task for _, task in held.values())])
            for evaluation in held:
                await in_database_at_last(give_back, self.id, evaluation)

    async def _claim(self, directory: Directory) -> None:
        while True:
            at_work = sum(not run.waits for run, _ in self._runs.values())
            full = at_work >= self._concurrency or len(self._runs) >= MOST_HELD
            claimed = None if full else await in_database_at_last(claim_evaluation, self.id)
            if claimed is None or claimed in self._runs:
                await self._calls.wait(WORK, CLAIM_SECONDS)
                continue
            run = EvaluationRun(self.id, self._gateway, directory, claimed)
            self._runs[claimed] = run, asyncio.create_task(self._watch(run, claimed))

    async def _watch(self, run: EvaluationRun, evaluation: uuid.UUID) -> None:
        try:
            await run.run()
        except LeaseLost:
            _log.info("evaluation_lost", evaluation=evaluation.hex, runner=self.id)
        except Exception:  # noqa: BLE001 - the others go on, and the log has the trace
            # Its lease lapses by itself: that is the pause before another try, until its time is over.
            _log.exception("evaluation_broke", evaluation=evaluation.hex)
        finally:
            self._runs.pop(evaluation, None)
            self._calls.call(WORK)

    async def _renew(self) -> None:
        while True:
            before = dict(self._runs)
            held = await in_database_at_last(renew_leases, self.id, list(before)) if before else set()
            for evaluation, (_, task) in before.items():
                if evaluation not in held:
                    task.cancel()  # it was cancelled, or another runner has it
            await asyncio.sleep(RENEW_SECONDS)
