"""Settlements are written once, also when their writer is told to stop in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import aclosing

import redis

from cluster.dispatch.request import Request, RequestOutcome, Submission
from cluster.dispatch.settlement import Settlements
from ollamamax.bus import keys
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import Inference
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end
from tests.dispatch.one_node import FLOODS, NODE, STEADY, Line
from tests.patience import LONG


def settled(number: int | str, tenant: str = "") -> Request:
    now = time.time()
    asked = Submission(
        tenant=tenant or new_id(),
        key=new_id(),
        model="m",
        version="sha256:" + "0" * 64,
        api="/v1/chat/completions",
        traceparent="",
        trace="",
        received_at=now,
        deadline=now + 60,
        allowed=60,
        inference=Inference("chat"),
    )
    request = Request.of(number if isinstance(number, str) else f"{number:032x}", asked)
    request.next_attempt()
    request.node, request.admitted_at = new_id(), now
    request.ended = RequestOutcome("ok", "", 200)
    return request


async def test_a_flush_waits_for_the_one_under_way_and_writes_nothing_twice(
    redis_url: str, valkey: redis.Redis
) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        settlements = Settlements(commands, lambda node: 0, lambda node: None)
        writing = asyncio.create_task(settlements.run())
        settlements.add(settled(1))
        await asyncio.sleep(0.2)
        valkey.client_pause(400)
        for number in range(2, 12):
            settlements.add(settled(number))
        await asyncio.sleep(0.1)  # under way, and not answered
        settlements.add(settled(12))
        await settlements.flush()
        await end([writing])
    assert not len(settlements)
    assert valkey.xlen(keys.USAGE) == 12


async def test_a_node_is_filled_as_soon_as_a_slot_was_kept_in_vain(redis_url: str, valkey: redis.Redis) -> None:
    line = Line(valkey, 1)
    request = settled(line.ask(STEADY), STEADY)
    request.node = NODE
    request.given_at = time.time() - 2
    line.ask(FLOODS)
    filled: asyncio.Queue[str] = asyncio.Queue()
    async with aclosing(Pipelined(redis_url)) as commands:
        settlements = Settlements(commands, lambda node: 1, filled.put_nowait)
        settlements.add(request)
        await settlements.flush()
        assert (line.running(), filled.qsize()) == (0, 0)
        async with asyncio.timeout(LONG):
            assert await filled.get() == NODE
    line.fill()
    assert line.running() == 1


async def test_a_settlement_that_redis_refuses_holds_up_no_other_and_is_not_tried_for_ever(
    redis_url: str, valkey: redis.Redis
) -> None:
    bad = settled(1)
    valkey.set(keys.recent(bad.asked.tenant), b"of another type")
    async with aclosing(Pipelined(redis_url)) as commands:
        settlements = Settlements(commands, lambda node: 0, lambda node: None)
        for request in (settled(2), bad, settled(3)):
            settlements.add(request)
        await settlements.flush()
    assert not len(settlements)
    kept = [fields[b"r"] for _, fields in valkey.xrange(keys.USAGE)]
    assert all(any(f"{number:032x}".encode() in each for each in kept) for number in (2, 3))
    (refused,) = valkey.xrange(keys.USAGE_REFUSED)
    assert bad.id.encode() in refused[1][b"r"], "its record is kept for a person to look at"


def test_whatever_a_node_leaves_in_its_keys_admission_and_settlement_go_on(valkey: redis.Redis) -> None:
    for junk in (b"x", b'{"capacity":' + b"9" * 400 + b"}", b"\xff" * 1000):
        valkey.flushall()
        line = Line(valkey, 1)
        for key in keys.node_keys(NODE):
            valkey.set(key, junk)
        first, second = line.ask(STEADY), line.ask(FLOODS)
        assert (line.runs(first), line.runs(second)) == (True, False)
        line.end(first, STEADY, None)
        assert line.runs(second), "the slot is given to who waits"
        line.end(second, FLOODS, None)
        assert line.running() == 0
        assert valkey.xlen(keys.USAGE) == 2
        assert valkey.llen(keys.node_inbox(NODE)) == 2


async def test_what_a_server_took_last_is_said_again_to_the_one_that_takes_its_place(
    redis_url: str, valkey: redis.Redis
) -> None:
    async with aclosing(Pipelined(redis_url)) as commands:
        commands.may_lose = True
        settlements = Settlements(commands, lambda node: 0, lambda node: None)
        writing = asyncio.create_task(settlements.run())
        settlements.add(settled(1))
        await settlements.flush()
        valkey.delete(keys.USAGE)  # as on a replica that had not heard of it
        valkey.client_kill_filter(_type="normal", skipme=True)
        async with asyncio.timeout(LONG):
            while not valkey.xlen(keys.USAGE):
                with contextlib.suppress(redis.ConnectionError):
                    await commands.do("PING")
                await asyncio.sleep(0.01)
        await end([writing])
    (entry,) = valkey.xrange(keys.USAGE)
    assert settled(1).id.encode() in entry[1][b"r"]
