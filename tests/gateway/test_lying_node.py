"""A lying node of one tenant beside a good node of another: all requests of the other are answered right, whatever is said."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cluster.guard import guard_nodes
from ollamamax.bus import directory, keys
from ollamamax.contract import ModelState, Ticket, decode_fault, decode_ticket, encode_json
from ollamamax.contract.tables import NODES
from ollamamax.kernel.ids import new_id
from tests.fakes.state import node_state
from tests.gateway.conftest import VERSION, Site
from tests.patience import until

pack = msgspec.msgpack.encode
STARTED = ["s", 1.0]
Say = Callable[[Ticket], bytes]


def events(*told: Any) -> Say:
    return lambda ticket: pack([[ticket.id, 0, list(told)]])


ANSWERS: dict[str, Say] = {
    "no text": lambda ticket: b"\x91\x93\xa1\xff\x00\x90",
    "nesting": lambda ticket: b"\x91" * 200_000,
    "random": lambda ticket: bytes(range(256)),
    "no end": lambda ticket: pack([[ticket.id, 0, []]]),
    "a gap": lambda ticket: pack([[ticket.id, 2**40, [["f", "stop", 1, 1]]]]),
    "2^64 tokens": events(STARTED, ["f", "stop", 2**64 - 1, 2**64 - 1]),
    "negative tokens": events(STARTED, ["f", "stop", -(10**12), -(10**12)]),
    "NaN": events(STARTED, ["d", "x", "", 1], ["f", "stop", 1, 1, 0, *[math.nan] * 4]),
    "infinity": events(STARTED, ["d", "x", "", 1], ["f", "stop", 9, 9, 0, math.inf, math.inf, -math.inf, math.inf]),
    "a header": events(["e", "a\r\nX-Evil: 1", "m", 99]),
    "status 10000": events(["e", "x", "m", 10_000]),
    "status 204": events(["e", "x", "m", 204]),
    "an early end": events(["f", "stop", 1, 1], ["d", "later", "", 1], ["f", "stop", 1, 1]),
    "values that JSON lacks": events(["d", "", "", 1, [{"a": msgspec.msgpack.Ext(5, b"x")}]], ["f", "stop", 1, 1]),
    "vectors": events(["f", "stop", 1, 1, 0, 0.0, 0.0, 0.0, 0.0, [[math.nan]]]),
}
STATES: dict[str, Any] = {
    "no text": b'{"node":"\xff"}',
    "nesting": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "time": {"at": 1e300},
    "slots": {"capacity": 10**400, "running": -1},
    "speed": {"tokens_per_second": math.nan},
    "another's": {"node": "0" * 32},
    "nothing": b"",
}


class Liar:
    """A tenant's node, as far as Redis and the directory know."""

    def __init__(self, site: Site, tenant: str) -> None:
        self.site, self.tenant, self.node = site, tenant, new_id()
        entry = {"tenant": tenant, "name": "liar", "schedulable": True}
        directory.publish(site.client, "nodes", {self.node: msgspec.json.encode(entry)})

    def say(self, told: Any = None) -> None:
        good = encode_json(node_state(self.node, models=[ModelState(VERSION, "echo", "loaded", "llamacpp")]))
        if isinstance(told, dict):
            told = json.dumps(json.loads(good) | told).encode()
        data = good if told is None else told
        self.site.client.set(keys.node_state(self.node), data, px=4000)
        self.site.client.publish(keys.node_state_channel(self.node), data)

    async def answer(self, say: Say) -> None:
        """To the next ticket, and on a channel of nobody."""
        found: list[Any] = []

        def taken() -> bool:
            found.append(self.site.client.lpop(keys.node_inbox(self.node)))
            return found[-1] is not None

        await until(taken)
        ticket = decode_ticket(found[-1])
        for channel in (keys.tokens(self.node, ticket.gateway), f"omx:tok:{self.node}:\udcff:{ticket.gateway}"):
            self.site.client.publish(channel.encode("utf-8", "surrogateescape"), say(ticket))


async def good_answers(site: Site, count: int) -> None:
    """Of the other tenant."""

    async def one(number: int) -> None:
        body = {"model": "echo", "stream": False, "messages": [{"role": "user", "content": f"number {number}"}]}
        async with site.post("/api/chat", body) as response:
            assert response.status == 200
            assert (await response.json())["message"]["content"] == f"number {number}"

    await asyncio.gather(*(one(number) for number in range(count)))


async def test_whatever_a_node_says_the_other_tenants_requests_are_right(site: Site) -> None:
    await site.add_node(capacity=8)
    tenant = new_id()
    site.publish_for(tenant)
    key, liar = await site.issue_key(tenant), Liar(site, tenant)
    fleet = (await site.gateway.start()).dispatcher.fleet
    for told in STATES.values():
        liar.say(told)
        await good_answers(site, 2)
    liar.say()
    await until(lambda: fleet.alive(liar.node))
    for what, say in ANSWERS.items():
        liar.say()
        body = {"model": "echo", "stream": False, "messages": [{"role": "user", "content": "x"}]}
        asked = asyncio.create_task(_status(site, body, key))
        await liar.answer(say)
        await good_answers(site, 3)
        if what in {"no end", "a gap"}:
            asked.cancel()  # its own client waits for it, and nobody else does
            await asyncio.wait([asked])
            continue
        status, headers, text = await asked
        assert status in {200, 500, 502, 503}, what
        assert "X-Evil" not in headers, what
        json.loads(text)
    await until(lambda: site.client.scard(keys.node_slots(liar.node)) == 0)
    records = [record for record in site.usage() if record["tenant"] == site.tenant]
    assert {record["outcome"] for record in records} == {"ok"}
    assert len(records) == 2 * len(STATES) + 3 * len(ANSWERS)
    for record in site.usage():
        assert 0 <= record["prompt_tokens"] < 2**31
        assert 0 <= record["completion_tokens"] < 2**31


async def _status(site: Site, body: Any, key: str) -> tuple[int, Any, str]:
    async with site.post("/api/chat", body, key) as response:
        return response.status, response.headers, await response.text()


@pytest.mark.parametrize("flood", ["large states", "many states", "frames of nobody", "nonsense"])
async def test_a_node_that_floods_is_told_of_and_cut_off(site: Site, flood: str) -> None:
    await site.add_node()
    liar = Liar(site, new_id())
    service = await site.gateway.start()
    await until(lambda: service.directory.get(NODES, liar.node) is not None)
    frames = keys.tokens(liar.node, service.dispatcher.id)
    channel, data = {
        "large states": (keys.node_state_channel(liar.node), b"x" * (6 << 20)),
        "many states": (keys.node_state_channel(liar.node), b"{}"),
        "frames of nobody": (frames, pack([[f"{number:032x}.1", 0, [["d", "x"]]] for number in range(100)])),
        "nonsense": (frames, b"\xff" * (1 << 20)),
    }[flood]
    for _ in range(30):
        site.client.publish(channel, data)
    await good_answers(site, 3)

    def told() -> bool:
        # It goes on: what Redis drops with a connection that is read too slowly is counted by nobody.
        site.client.publish(channel, data)
        return _is_excess(site, liar.node)

    await until(told)
    assert guard_nodes(site.client) == 1
    assert site.client.hexists(keys.NODES_CUT, liar.node)
    assert not _is_excess(site, liar.node)


def _is_excess(site: Site, node: str) -> bool:
    told: Any = site.client.hget(keys.NODE_FAULTS, node)
    return told is not None and decode_fault(told).excess
