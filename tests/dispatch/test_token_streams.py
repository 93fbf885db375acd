"""The streams of one gateway process and what it tells the nodes, on a real Valkey."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
import redis

from cluster.dispatch import token_streams as streams_module
from cluster.dispatch.token_streams import PAUSE_BYTES, TokenStreams
from cluster.fleet.node_allowance import NodeAllowances
from ollamamax.bus import keys
from ollamamax.bus.background import Background
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Hearing
from ollamamax.contract import CallPart, Control, Delta, Event, Failure, Frame, decode_control, encode_frames
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end
from tests.patience import LONG


async def test_a_node_that_is_paused_and_let_go_at_once_hears_both_in_this_order(
    redis_url: str, valkey: redis.Redis
) -> None:
    gateway, node, ticket = new_id(), new_id(), f"{new_id()}.1"
    heard: list[Control] = []

    def hear(_: bytes, data: bytes) -> None:
        heard.append(decode_control(data))

    async with (
        aclosing(Pipelined(redis_url)) as commands,
        Hearing(redis_url, hear, channels=[keys.node_control(node)]),
    ):
        streams = TokenStreams(
            gateway,
            commands,
            redis_url,
            lambda ticket, node: None,
            lambda ticket, node: None,
            NodeAllowances(),
            Background(),
        )
        listening = asyncio.Event()

        async def ready() -> None:
            listening.set()

        stream = streams.open(ticket)
        stream.give(node)

        async def read() -> None:
            while True:
                await stream.next()
                streams.resume_if_read(stream)

        tasks = [asyncio.create_task(work) for work in (streams.receive(ready), streams.speak(), read())]
        await listening.wait()
        # More than is kept for a client, in one piece: its reader has it before the node can be told anything.
        for number in range(5):
            frame = Frame(ticket, number, [Delta(text="x" * (PAUSE_BYTES + 1), tokens=1)])
            valkey.publish(keys.tokens(node, gateway), encode_frames([frame]))
            async with asyncio.timeout(LONG):
                while [each.verb for each in heard].count("resume") <= number:
                    await asyncio.sleep(0.01)
        await end(tasks)
    told = [each.verb for each in heard if each.verb != "resend"]
    assert told == ["pause", "resume"] * 5
    assert {each.ticket for each in heard} == {ticket}


LARGE = 10_000
WITHOUT_END: list[dict[str, Any]] = [
    {"text": "x" * LARGE},
    {"thinking": "x" * LARGE},
    {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "x" * LARGE}}]},
    {"tool_calls": [{"a": [[]] * LARGE}]},
    {"logprobs": [{"token": "x", "logprob": -1.0, "top_logprobs": [{"token": "x"}] * LARGE}]},
    {"call_parts": [CallPart(0, "x")] * LARGE},
    {},
]


@pytest.mark.parametrize("said", WITHOUT_END, ids=[",".join(said) or "nothing" for said in WITHOUT_END])
async def test_an_answer_without_end_ends_though_it_is_read(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    monkeypatch.setattr(streams_module, "MOST_ANSWER_BYTES", 10 * LARGE)
    node, ticket = new_id(), f"{new_id()}.1"
    async with aclosing(Pipelined(redis_url)) as commands:
        streams = TokenStreams(
            "g", commands, redis_url, lambda *_: None, lambda *_: None, NodeAllowances(), Background()
        )
        stream = streams.open(ticket)
        stream.give(node)
        last: Event | None = None
        for number in range(1000):
            streams._hear(keys.tokens(node, "g").encode(), encode_frames([Frame(ticket, number, [Delta(**said)])]))
            last = await stream.next()
            if stream.finished or stream.ended:
                break
        while not stream.finished:
            last = await stream.next()
    assert isinstance(last, Failure)
    assert last.code == "answer_too_long"
