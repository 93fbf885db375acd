"""One slow answer of an engine to how it is takes nothing from its node; silence that lasts does, and a refusal does at once."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.engines.base import Capacity
from cluster.worker import reporter as reporters
from cluster.worker.reporter import Reporter
from ollamamax import contract

MODELS = [contract.ModelState("sha256:" + "0" * 64, "m", "loaded", "openai")]


class _Engine:
    kind = "openai"
    hosts_blobs = False

    def __init__(self) -> None:
        self.raises: Exception | None = None

    async def health(self) -> contract.Engine:
        if self.raises is not None:
            raise self.raises
        return contract.Engine("openai", healthy=True)

    async def models(self) -> list[contract.ModelState]:
        return MODELS

    async def capacity(self) -> Capacity:
        return Capacity(1)


class _Inbox:
    def resize(self, slots: int) -> None:
        assert slots == 1


async def _told(reporter: Reporter) -> tuple[bool, list[contract.ModelState]]:
    await reporter._ask_engine()
    return reporter._health[0].healthy, reporter._models


async def test_what_was_known_of_an_engine_stands_while_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, nothing = _Engine(), object()
    parts: Any = [nothing, nothing, "boot", engine, nothing, nothing, _Inbox(), nothing, nothing, nothing]
    reporter = Reporter(*parts)
    engine.raises = TimeoutError()
    assert await _told(reporter) == (False, []), "of one that never answered nothing is known"
    engine.raises = None
    assert await _told(reporter) == (True, MODELS)
    engine.raises = TimeoutError()
    assert await _told(reporter) == (True, MODELS)
    monkeypatch.setattr(reporters, "SLOW_SECONDS", 0.0)
    assert await _told(reporter) == (False, [])
    assert "has not answered" in (reporter._health[0].error or "")


async def test_an_engine_that_refuses_is_away_at_once() -> None:
    engine, nothing = _Engine(), object()
    parts: Any = [nothing, nothing, "boot", engine, nothing, nothing, _Inbox(), nothing, nothing, nothing]
    reporter = Reporter(*parts)
    assert await _told(reporter) == (True, MODELS)
    engine.raises = ConnectionRefusedError("refused")
    assert await _told(reporter) == (False, [])
