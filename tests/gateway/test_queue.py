"""Waiting for a slot: in turn, until the time is over or the client leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Final, Ticket
from ollamamax.contract.tables import TENANTS
from ollamamax.gateway.body_memory import HeldBytes
from ollamamax.kernel.ids import new_id
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.gateway.waiting import ASK, ask, full, queued, share
from tests.patience import until


async def test_who_waits_is_served_when_a_slot_is_free(site: Site) -> None:
    gate, node = await full(site)
    second = await ask(site, "second", wait=False)
    await queued(site, 1)
    gate.let(2)
    status, answer, headers = await second
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "second")
    assert headers["x-ollamamax-node"] == "node-0"
    await until(lambda: len(site.usage()) == 2)
    record = site.usage()[-1]
    assert record["queue_ms"] > 1
    assert record["route"]["waiting"] == 1
    assert [len(record["route"]["candidates"]), record["route"]["attempts"][0]["node"]] == [1, node.node]
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_two_tenants_take_turns_however_many_one_asks_for(site: Site, stranger: str) -> None:
    """The node is shared; the stranger's single request is served before the flood that came earlier."""
    gate, node = await full(site)
    share(site, node)
    theirs = await site.issue_key(other := new_id())
    site.publish_for(other)
    for number in range(2):
        await ask(site, f"flood {number}", wait=False)
        await queued(site, number + 1)
    single = await ask(site, "single", wait=False, key=theirs)
    await queued(site, 3)
    gate.let()
    await until(lambda: len(gate.said) == 2)
    assert gate.said[1] == "single"
    gate.let(3)
    assert (await single)[0] == 200
    await until(lambda: len(site.usage()) == 4)


async def test_the_time_of_a_request_includes_its_wait(site: Site) -> None:
    gate, node = await full(site)
    start = time.monotonic()
    status, answer, _ = await ask(site, "late", **dict[str, Any]({"x-ollamamax-timeout": "0.5"}))
    assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - start < 5
    await queued(site, 0)
    gate.let()
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert gate.said == ["first"]


async def test_bytes_that_redis_holds_have_a_bound_and_are_given_back(site: Site) -> None:
    """Given or waiting: it is one tenant's requests together that are bounded, and a single one passes."""
    site.gateway._held = HeldBytes(1 << 30, 1 << 30)  # as if they came to several gateways
    gate, node = await full(site)
    share(site, node)
    theirs = await site.issue_key(other := new_id())
    site.publish_for(other)
    large = "x" * 45_000
    first = await ask(site, large, wait=False)
    await queued(site, 1)
    status, answer, headers = await ask(site, large)
    assert (status, answer["error"]["code"]) == (429, "overloaded")
    assert int(headers["retry-after"]) >= 1
    await ask(site, large, wait=False, key=theirs)
    await queued(site, 2)
    assert site.client.zcard(keys.LARGE) == 2
    # What nobody settled, because its gateway died, is forgotten when the bound is reached.
    site.client.zadd(keys.LARGE, {f"{other} {new_id()}": 60_000})
    first.cancel()
    await queued(site, 1)
    again = await ask(site, large, wait=False)
    await queued(site, 2)
    gate.let(3)
    assert (await again)[0] == 200
    await until(lambda: site.client.zcard(keys.LARGE) == 0)


async def test_who_leaves_the_queue_leaves_nothing_behind(site: Site) -> None:
    gate, node = await full(site)
    leaving = await ask(site, "leaving", wait=False)
    await queued(site, 1)
    leaving.cancel()
    await queued(site, 0)
    gate.let()
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert not site.client.keys("omx:queue:entry:*")
    assert not site.client.keys("omx:queue:node:*")
    assert not site.client.keys("omx:active:*")
    # A place in the queue is admission: it leaves a record, too.
    await until(lambda: len(site.usage()) == 2)
    assert sorted((record["outcome"], record.get("error", "")) for record in site.usage()) == [
        ("cancelled", "client_gone"),
        ("ok", ""),
    ]


async def test_a_node_that_joins_serves_those_who_wait(site: Site) -> None:
    await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    await site.add_node(script=echo)
    assert (await waiting)[0] == 200


async def test_a_node_that_is_drained_gets_none_of_those_who_wait(site: Site) -> None:
    gate, node = await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    entry = {"tenant": site.tenant, "name": "node-0", "schedulable": False}
    directory.publish(site.client, "nodes", {node.node: msgspec.json.encode(entry)})
    gate.let(2)
    await until(lambda: len(site.usage()) == 1)
    assert gate.said == ["first"]
    await site.add_node(script=echo)
    assert (await waiting)[0] == 200


async def test_a_queue_that_redis_forgot_is_joined_again(site: Site) -> None:
    gate, _ = await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    for name in site.client.keys("omx:queue:*"):
        site.client.delete(name)
    await queued(site, 1)
    gate.let(2)
    assert (await waiting)[0] == 200


async def test_a_grant_whose_message_was_lost_is_found(site: Site) -> None:
    gate, _ = await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    service = await site.gateway.start()
    granted = service.dispatcher._queue.granted
    service.dispatcher._queue.granted = lambda ticket, node: False  # type: ignore[method-assign]
    gate.let(2)
    await queued(site, 0)
    service.dispatcher._queue.granted = granted  # type: ignore[method-assign]
    assert (await waiting)[0] == 200


async def test_several_answers_need_no_more_than_one_slot(site: Site) -> None:
    node = await site.add_node(capacity=1)
    async with site.post("/v1/chat/completions", {**ASK, "n": 3}) as response:
        assert len((await response.json())["choices"]) == 3
    assert len(node.tickets) == 3


async def test_a_tenant_may_have_its_route_unsaid(site: Site) -> None:
    await site.add_node()
    assert {"x-ollamamax-node", "x-ollamamax-route"} <= {name.lower() for name in (await ask(site, "x"))[2]}
    directory.publish(site.client, "tenants", {site.tenant: b'{"show_route": false}'})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(TENANTS, site.tenant) is not None)
    _, _, headers = await ask(site, "x")
    assert "x-request-id" in headers
    assert not {"x-ollamamax-node", "x-ollamamax-route", "x-ollamamax-version"} & {name.lower() for name in headers}


async def test_many_come_and_go_and_nothing_is_left(site: Site) -> None:
    """More clients than slots and places, some of which leave in the middle of whatever."""

    async def slow(ticket: Ticket) -> AsyncIterator[Event]:
        for _ in range(3):
            yield Delta(text="x", tokens=1)
            await asyncio.sleep(0.005)
        yield Final("stop", 1, 3)

    nodes = [await site.add_node(script=slow, capacity=2) for _ in range(2)]

    async def patient() -> int:
        """Comes again as long as there is no place."""
        while (status := int((await ask(site, "x"))[0])) == 429:
            await asyncio.sleep(0.02)
        return status

    async def hasty(number: int) -> int:
        try:
            async with asyncio.timeout(0.01 * (number % 7)):
                return int((await ask(site, "x"))[0])
        except (TimeoutError, aiohttp.ClientError):
            return 0

    statuses = await asyncio.gather(*(hasty(number) if number % 3 else patient() for number in range(120)))
    assert set(statuses) <= {0, 200, 429}
    assert set(statuses[::3]) == {200}
    await until(lambda: not site.client.hlen(keys.OPEN) and not site.client.zcard(keys.WAITING))
    await until(lambda: not any(site.client.scard(keys.node_slots(node.node)) for node in nodes))
    await until(lambda: not site.client.keys("omx:active:*"))
    assert not site.client.keys("omx:queue:entry:*")
