"""What the control plane orders of a request: it is cancelled, moved in the queue, or described, on whichever gateway has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from cluster.dispatch import orders
from cluster.scheduling.explanation import why
from ollamamax.bus import keys
from ollamamax.contract import Delta, Described, Event, GatewayOrder, OpenRequest, Ticket, decode_open
from ollamamax.gateway.standalone import Standalone
from tests.gateway.conftest import Site, gateway_of, listening, stop_gateway
from tests.gateway.test_revocation import ROUTES, _error
from tests.gateway.waiting import ask, full, queued
from tests.patience import LONG, until
from tests.servers import free_port

SAID = "This request was cancelled by somebody who manages the requests of its tenant."


async def endless(ticket: Ticket) -> AsyncIterator[Event]:
    while True:
        yield Delta(text="x", tokens=1)
        await asyncio.sleep(0.01)


async def silent(ticket: Ticket) -> AsyncIterator[Event]:
    await asyncio.sleep(3600)
    yield Delta(text="x", tokens=1)


async def torrent(ticket: Ticket) -> AsyncIterator[Event]:
    while True:
        yield Delta(text="x" * 50_000, tokens=1)
        await asyncio.sleep(0)


def opened(site: Site) -> list[OpenRequest]:
    values: Any = site.client.hvals(keys.OPEN)
    return [decode_open(each) for each in values]


async def under_way(site: Site) -> OpenRequest:
    await until(lambda: len(opened(site)) == 1)
    return opened(site)[0]


def cancel(site: Site, request: str, gateway: str) -> bool:
    return orders.say(site.client, gateway, GatewayOrder("cancel", request, by="ada@acme.example"))


@pytest.mark.parametrize("path", ROUTES)
async def test_a_stream_that_is_cancelled_ends_with_an_error_of_its_protocol(site: Site, path: str) -> None:
    node = await site.add_node(script=endless)
    async with site.post(path, {"model": "echo", "stream": True, **ROUTES[path]}) as response:
        await response.content.readany()
        request = await under_way(site)
        assert cancel(site, request.request, request.gateway)
        async with asyncio.timeout(LONG):
            rest = await response.content.read()
    assert SAID in str(_error(rest.splitlines()[-1] if b"data: " not in rest else rest))
    await until(lambda: len(site.usage()) == 1)
    (record,) = site.usage()
    assert (record["outcome"], record["error"], record["status"]) == ("cancelled", "request_cancelled", 499)
    assert record["route"]["cancelled_by"] == "ada@acme.example"
    assert record["completion_tokens"] > 0
    await until(lambda: any(control.verb == "cancel" for control in node.controls))
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_a_stuck_request_is_answered_with_499_when_it_is_cancelled(site: Site) -> None:
    await site.add_node(script=silent)
    asking = await ask(site, "stuck", wait=False)
    request = await under_way(site)
    assert cancel(site, request.request, request.gateway)
    status, answer, _ = await asking
    assert (status, answer["error"]["code"], answer["error"]["message"]) == (499, "request_cancelled", SAID)


async def test_a_request_that_waits_leaves_the_queue_and_no_fallback_is_asked(site: Site) -> None:
    gate, _ = await full(site)
    asking = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    (waiting,) = site.client.zrange(keys.WAITING, 0, -1)
    found = orders.find(site.client, waiting.decode(), site.tenant)
    assert found is not None
    assert found.waits
    assert cancel(site, waiting.decode(), found.opened.gateway)
    status, answer, _ = await asking
    assert (status, answer["error"]["code"]) == (499, "request_cancelled")
    await queued(site, 0)
    gate.let()
    await until(lambda: len(site.usage()) == 2)
    record = next(each for each in site.usage() if each["request"] == waiting.decode())
    assert (record["outcome"], record["node"], record["route"]["cancelled_by"]) == ("cancelled", "", "ada@acme.example")
    assert gate.said == ["first"]


async def test_a_client_that_takes_nothing_keeps_no_cancelled_request(site: Site) -> None:
    node = await site.add_node(script=torrent)
    async with site.post("/api/chat", {"model": "echo", "messages": [{"role": "user", "content": "x"}]}) as response:
        await response.content.readany()
        request = await under_way(site)
        await until(lambda: any(control.verb == "pause" for control in node.controls))
        cancel(site, request.request, request.gateway)
        await until(lambda: any(control.verb == "cancel" for control in node.controls))
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["outcome"] in {"cancelled", "failed"}


async def test_an_order_reaches_the_gateway_that_has_the_request_and_ends_no_other(site: Site) -> None:
    await site.add_node(script=endless)
    other = gateway_of(site.redis_url)
    port = free_port()
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    headers = {"Authorization": f"Bearer {site.key}"}
    async with listening(Standalone(other), port):
        service = await other.start()
        await until(lambda: any(service.dispatcher.fleet.alive(node.node) for node in site.nodes))
        there = f"http://127.0.0.1:{port}/v1/chat/completions"
        async with (
            site.post("/v1/chat/completions", body) as here,
            site.http.post(there, json=body, headers=headers) as elsewhere,
        ):
            await here.content.readany()
            await elsewhere.content.readany()
            await until(lambda: len(opened(site)) == 2)
            mine = next(each for each in opened(site) if each.gateway == service.dispatcher.id)
            assert cancel(site, mine.request, mine.gateway)
            async with asyncio.timeout(LONG):
                assert SAID in (await elsewhere.content.read()).decode()
            assert [each.request for each in opened(site)] != [mine.request]
            await here.content.readany()
            assert not here.content.at_eof()
    await stop_gateway(other)


async def test_a_request_is_described_while_it_waits_and_while_it_runs(site: Site) -> None:
    gate, _ = await full(site)
    running = await under_way(site)
    asking = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    (waiting,) = site.client.zrange(keys.WAITING, 0, -1)

    async def describe(request: str) -> Described:
        found = await asyncio.to_thread(orders.describe, site.client, running.gateway, request)
        assert found is not None
        return found

    described = await describe(running.request)
    assert described.route.attempts[0].node == site.nodes[0].node
    assert why(described.route) == "node-0 was the only node that could run it."
    described = await describe(waiting.decode())
    assert (described.route.waiting, described.route.attempts) == (1, [])
    assert why(described.route).startswith("It waits for a free slot")
    gate.let(2)
    assert (await asking)[0] == 200
    assert await asyncio.to_thread(orders.describe, site.client, running.gateway, running.request) is None


async def test_a_raised_request_overtakes_those_of_its_own_tenant(site: Site) -> None:
    gate, _ = await full(site)
    first = await ask(site, "second", wait=False)
    await queued(site, 1)
    second = await ask(site, "third", wait=False)
    await queued(site, 2)
    (_, last) = site.client.zrange(keys.WAITING, 0, -1)
    found = orders.find(site.client, last.decode(), site.tenant)
    assert found is not None
    assert orders.prioritise(site.client, found, "high", 30.0)
    orders.say(site.client, found.opened.gateway, GatewayOrder("prioritise", last.decode(), priority="high"))
    gate.let(3)
    await asyncio.gather(first, second)
    assert gate.said == ["first", "third", "second"]
    await until(lambda: len(site.usage()) == 3)
    record = next(each for each in site.usage() if each["request"] == last.decode())
    assert record["priority"] == "high"
    assert not orders.prioritise(site.client, found, "low", 30.0)


async def test_orders_that_are_nonsense_or_of_nobody_change_nothing(site: Site) -> None:
    await site.add_node(script=endless)
    async with site.post("/api/chat", {"model": "echo", "messages": [{"role": "user", "content": "x"}]}) as response:
        await response.content.readany()
        request = await under_way(site)
        channel = keys.gateway_orders(request.gateway)
        for nonsense in (b"", b"\xff", b"{}", b"[1]", msgspec.json.encode({"verb": "explode", "request": "x"})):
            site.client.publish(channel, nonsense)
        cancel(site, "0" * 32, request.gateway)
        assert not cancel(site, request.request, "0" * 32)
        await response.content.readany()
        assert len(opened(site)) == 1
