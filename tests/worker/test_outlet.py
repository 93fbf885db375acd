"""What gathers on a node on its way to the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from cluster.worker.outlet import Outlet, Outlets, Sent
from cluster.worker.runs import Runs
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.bus.connect import connect_async
from ollamamax.bus.pipelined import Pipelined


class Engine:
    """Says a word each ``pause`` seconds."""

    kind, hosts_blobs = "openai", False

    def __init__(self, words: int, pause: float) -> None:
        self._words = words
        self._pause = pause

    def loaded(self, version: str) -> bool:
        return True

    def context(self, version: str) -> None:
        return None

    async def generate(self, *_: Any) -> AsyncIterator[contract.Delta | contract.Final]:
        for number in range(self._words):
            await asyncio.sleep(self._pause)
            yield contract.Delta(f"{number} ", tokens=1, logprobs=[{"token": f"{number} "}])
        yield contract.Final(completion_tokens=self._words)


def ticket(delivery: contract.Delivery) -> contract.Ticket:
    return contract.Ticket(
        id="r.1",
        gateway="g",
        tenant="t",
        version="sha256:" + "0" * 64,
        model="m",
        deadline=4e9,
        traceparent="",
        inference=contract.Inference("chat", messages=[{"role": "user", "content": "count"}], delivery=delivery),
    )


async def frames_of(redis_url: str, engine: Engine, delivery: contract.Delivery) -> list[contract.Frame]:
    """What a gateway hears of one run."""
    frames: list[contract.Frame] = []
    async with (
        connect_async(redis_url) as client,
        aclosing(Pipelined(redis_url)) as commands,
        client.pubsub() as heard,
    ):
        await heard.subscribe(keys.tokens("n", "g"))
        await heard.get_message(timeout=1)
        runs = Runs(Outlets(lambda gateway: Outlet(commands, "n", gateway)), lambda _: engine, "t")  # type: ignore[arg-type, return-value]
        runs.start(ticket(delivery), b"raw")
        while not frames or not isinstance(frames[-1].events[-1], contract.Final):
            message = await heard.get_message(ignore_subscribe_messages=True, timeout=5)
            frames += contract.decode_frames(message["data"]) if message else []
    return frames


def output(frames: list[contract.Frame]) -> contract.Delta:
    return contract.joined([event for frame in frames for event in frame.events if isinstance(event, contract.Delta)])


@pytest.mark.parametrize(("delivery", "least", "most"), [("stream", 20, 21), ("whole", 2, 2)])
async def test_what_its_client_reads_at_the_end_gathers_and_nothing_of_it_is_lost(
    redis_url: str, delivery: contract.Delivery, least: int, most: int
) -> None:
    frames = await frames_of(redis_url, Engine(20, 0.01), delivery)
    assert least <= len(frames) <= most
    said = output(frames)
    assert said.text == "".join(f"{number} " for number in range(20))
    assert said.tokens == len(said.logprobs) == 20


async def test_a_long_whole_answer_leaves_now_and_then(redis_url: str) -> None:
    frames = await frames_of(redis_url, Engine(24, 0.1), "whole")
    assert 3 <= len(frames) <= 5
    assert output(frames).tokens == 24


def test_what_waits_together_keeps_all_its_parts() -> None:
    sent = Sent("t", b"")
    for number in range(3):
        sent.add(contract.Delta(f"{number}", f"-{number}", 1, [{"id": number}], [{"token": f"{number}"}]))
    [joined] = sent.take().events
    assert joined == contract.Delta(
        "012", "-0-1-2", 3, [{"id": 0}, {"id": 1}, {"id": 2}], [{"token": "0"}, {"token": "1"}, {"token": "2"}]
    )
