"""What a node remembers of tickets that ended."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from cluster.worker import runs as module
from cluster.worker.outlet import Outlet, Outlets
from cluster.worker.runs import Runs
from ollamamax import contract
from ollamamax.bus.pipelined import Pipelined
from ollamamax.kernel.errors import ModelNotFound


def ticket(number: int) -> contract.Ticket:
    return contract.Ticket(
        id=f"r{number}.1",
        gateway=f"gateway{number}",
        tenant="t",
        version="sha256:" + "0" * 64,
        model="m",
        deadline=4e9,
        traceparent="",
        inference=contract.Inference("chat"),
    )


async def test_an_ended_ticket_is_kept_for_a_while_and_forgotten_with_its_gateway(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        outlets = Outlets(lambda gateway: Outlet(commands, "node", gateway))

        def pick(asked: contract.Ticket) -> object:
            raise ModelNotFound("This node has nothing.")

        runs = Runs(outlets, pick, "t")  # type: ignore[arg-type]
        for number in (1, 2):
            runs.start(ticket(number), b"raw")
        for run in list(runs.running.values()):
            assert run.task is not None
            await run.task
        for outlet in outlets.all():
            await outlet.flush()

        runs.forget_old()
        assert runs.knows("r1.1")
        assert {outlet.gateway for outlet in outlets.all()} == {"gateway1", "gateway2"}

        monkeypatch.setattr(module, "KEEP_MOST", 1)
        runs.forget_old()
        assert [runs.knows("r1.1"), runs.knows("r2.1")] == [False, True]

        monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
        runs.forget_old()
        assert not runs.knows("r2.1")
        assert outlets.all() == []
