"""A run is watched from the moment it is started, and counts as silent from then on only."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from cluster.worker.runs import Runs
from cluster.worker.watch import Watch
from ollamamax import contract
from tests.worker.test_forget import ticket


async def test_a_look_before_its_task_has_begun_takes_no_run_for_hung() -> None:
    engine: Any = SimpleNamespace(hosts_blobs=False, loaded=lambda version: True)
    runs = Runs(cast(Any, None), lambda _: engine, "t")
    watch = Watch(runs, lambda: engine)
    run_ticket = ticket(1)
    runs.start(run_ticket, b"")
    run = runs.running[run_ticket.id]
    assert isinstance(run.ticket, contract.Ticket)
    assert run.task is not None
    try:
        await watch.look(asyncio.get_running_loop().time(), 0.0)
        assert (run.reason, watch.troubles, runs.quarantined) == (None, {}, {})
    finally:
        run.task.cancel()
        await asyncio.wait([run.task])
