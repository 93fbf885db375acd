"""A part of the agent that dies is begun again, and until it lives the node says that it is not well, and why."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.worker.agent import Agent
from cluster.worker.reporter import Reporter
from ollamamax import contract
from ollamamax.bus.background import Background
from tests.patience import until


def reporter(background: Background) -> Reporter:
    watch = SimpleNamespace(described=lambda health: health)
    nothing = object()
    parts: Any = [nothing, nothing, "boot", nothing, nothing, nothing, nothing, nothing, watch, background]
    return Reporter(*parts)


async def test_a_part_that_dies_makes_the_node_unwell_until_it_lives_again() -> None:
    background, well = Background(), contract.Engine("ollama", healthy=True)
    told, lives = reporter(background), asyncio.Event()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if not lives.is_set():
            raise ValueError("what nobody foresaw")
        await asyncio.Event().wait()

    assert told._described(well).healthy
    background.run("engine watch", work)
    await until(lambda: not told._described(well).healthy)
    assert "engine watch: It failed: ValueError" in (told._described(well).error or "")
    lives.set()
    await until(lambda: told._described(well).healthy)
    assert begun >= 2
    away = contract.Engine("ollama", healthy=False, error="refused")
    assert told._described(away) == away, "the engine's own trouble comes first"
    await background.stop()


@pytest.mark.parametrize(
    "part", ["listener.listen", "reporter.survey", "reporter.measure", "watch.watch", "reporter.beat"]
)
def test_what_the_agent_does_for_ever_is_supervised(part: str) -> None:
    lines = [line.strip() for line in inspect.getsource(Agent._main).splitlines() if part in line]
    assert lines
    assert all(line.startswith("self.background.run(") for line in lines)
