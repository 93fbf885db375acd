"""The streams of one gateway process and what it tells the nodes, on a real Valkey."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import redis

from cluster.dispatch.budget import Budgets
from cluster.dispatch.streams import PAUSE_BYTES, Streams
from ollamamax.bus import keys
from ollamamax.bus.background import Background
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Subscription
from ollamamax.contract import Control, Delta, Frame, decode_control, encode_frames
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end


async def test_a_node_that_is_paused_and_let_go_at_once_hears_both_in_this_order(
    redis_url: str, valkey: redis.Redis
) -> None:
    gateway, node, ticket = new_id(), new_id(), f"{new_id()}.1"
    heard: list[Control] = []

    def hear(_: bytes, data: bytes) -> None:
        heard.append(decode_control(data))

    async with (
        aclosing(Pipelined(redis_url)) as commands,
        Subscription(redis_url, hear, channels=[keys.node_control(node)]),
    ):
        streams = Streams(
            gateway,
            commands,
            redis_url,
            lambda ticket, node: None,
            lambda ticket, node: None,
            Budgets(),
            Background(),
        )
        listening = asyncio.Event()

        async def ready() -> None:
            listening.set()

        stream = streams.open(ticket)
        stream.node = node

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
            async with asyncio.timeout(5):
                while [each.verb for each in heard].count("resume") <= number:
                    await asyncio.sleep(0.01)
        await end(tasks)
    told = [each.verb for each in heard if each.verb != "resend"]
    assert told == ["pause", "resume"] * 5
    assert {each.ticket for each in heard} == {ticket}
