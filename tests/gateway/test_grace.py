"""Silence is no death at once: what may be back in a moment is waited for, what is gone is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.fleet import fleet as fleets
from cluster.fleet import grace
from ollamamax.bus import keys, link
from ollamamax.contract import (
    Delta,
    Engine,
    Event,
    Final,
    Inference,
    ModelState,
    OpenRequest,
    Ticket,
    encode_json,
    encode_ticket,
)
from ollamamax.contract.tables import MODELS
from ollamamax.kernel.ids import new_id
from tests.fakes.node import FakeNode
from tests.gateway.conftest import VERSION, Site, publish_model
from tests.gateway.waiting import ASK, begun
from tests.patience import until

WELL = [Engine("llamacpp", True, hosts_blobs=True)]
HUNG = [Engine("llamacpp", False, error="no token for 10 s", quarantined=[VERSION])]
DOWN = [Engine("llamacpp", False, error="cannot be reached")]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes count as silent soon."""
    monkeypatch.setattr(fleets, "STATE_LIFETIME", 0.8)
    monkeypatch.setattr(FakeNode, "state_lifetime", 0.8)


async def _post(site: Site, **more: Any) -> int:
    async with site.post("/v1/chat/completions", {**ASK, **more}) as response:
        await response.read()
        return int(response.status)


async def _silent(site: Site, node: FakeNode) -> None:
    node.mute = True
    fleet = (await site.gateway.start()).dispatcher.fleet
    await until(lambda: not fleet.alive(node.node) and not site.client.exists(keys.node_state(node.node)))


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("stream", [True, False])
async def test_requests_wait_for_a_node_that_is_silent(site: Site, stream: bool) -> None:
    node = await site.add_node()
    await _silent(site, node)
    asking = [begun(_post(site, stream=stream)) for _ in range(3)]
    done, _ = await asyncio.wait(asking, timeout=0.4)
    assert not done
    node.mute = False
    assert await asyncio.gather(*asking) == [200] * 3


@pytest.mark.usefixtures("soon")
async def test_they_do_not_wait_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await site.add_node()
    await _silent(site, node)
    monkeypatch.setattr(grace, "SECONDS", 1.5)
    assert await _post(site) == 503


@pytest.mark.usefixtures("soon")
async def test_nobody_waits_for_a_node_that_is_gone_or_leaves(site: Site) -> None:
    node = await site.add_node()
    fleet = (await site.gateway.start()).dispatcher.fleet
    await node.kill()
    await until(lambda: not fleet.may_return(node.node))
    assert await _post(site) == 503
    leaving = await site.add_node()
    leaving.draining = True
    await leaving.say()
    await _silent(site, leaving)
    assert await _post(site) == 503


@pytest.mark.parametrize("engines", [HUNG, DOWN])
async def test_requests_wait_for_an_engine_that_is_not_well(site: Site, engines: list[Engine]) -> None:
    node = await site.add_node()
    models = node.models
    node.engines, node.models = engines, [] if engines is DOWN else models
    await node.say()
    fleet = (await site.gateway.start()).dispatcher.fleet
    await until(lambda: fleet._states[node.node].engines[0].error is not None)
    asking = begun(_post(site))
    done, _ = await asyncio.wait([asking], timeout=0.4)
    assert not done
    node.engines, node.models = WELL, models
    assert await asking == 200


async def test_requests_wait_for_redis(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.3)
    node = await site.add_node()
    assert await _post(site) == 200
    site.client.client_pause(2500)
    assert await asyncio.gather(*[_post(site, stream=bool(number % 2)) for number in range(6)]) == [200] * 6
    await until(lambda: len({record["request"] for record in site.usage()}) == 7)
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0 and site.client.hlen(keys.OPEN) == 0)


@pytest.mark.usefixtures("soon")
async def test_a_stream_is_left_to_a_silent_node_until_another_can_take_it(site: Site) -> None:
    gate = asyncio.Event()

    async def says_one(ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(text="one", tokens=1)
        await gate.wait()
        yield Delta(text=" two", tokens=1)
        yield Final("stop", 7, 2)

    async def goes_on(ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(text=" three", tokens=1)
        yield Final("stop", 7, 2)

    first = await site.add_node(script=says_one)
    asked = {**ASK, "stream": True}
    async with site.post("/v1/chat/completions", asked) as stays:
        await stays.content.readany()
        await _silent(site, first)
        await asyncio.sleep(0.6)  # two looks of who watches the nodes
        gate.set()
        assert " two" in await stays.text()
    gate.clear()
    first.mute = False
    async with site.post("/v1/chat/completions", asked) as goes:
        await goes.content.readany()
        await _silent(site, first)
        await site.add_node(script=goes_on)
        assert " three" in await goes.text()


async def test_a_ticket_that_was_given_too_late_gives_its_slot_back(site: Site) -> None:
    """As when Redis runs a command of a gateway that has given up on it."""
    node = await site.add_node()
    gateway, request = (await site.gateway.start()).dispatcher.id, new_id()
    ticket = Ticket(
        id=f"{request}.1",
        gateway=gateway,
        tenant=site.tenant,
        version=VERSION,
        model="echo",
        deadline=0.0,
        traceparent="",
        inference=Inference("chat", messages=ASK["messages"]),
        left=30.0,
    )
    opened = OpenRequest(
        request, gateway, site.tenant, "k", "echo", VERSION, "/api/chat", "", 0.0, 0.0, node=node.node, given_at=0.0
    )
    site.client.hset(keys.OPEN, request, encode_json(opened))
    site.client.sadd(keys.active("k"), request)
    site.client.sadd(keys.node_slots(node.node), ticket.id)
    site.client.rpush(keys.node_inbox(node.node), encode_ticket(ticket))
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert site.client.hlen(keys.OPEN) == 0
    assert not site.client.exists(keys.active("k"))


FETCHING = ModelState(VERSION, "echo", "fetching", "llamacpp", bytes_done=1)


async def _listed(site: Site, **more: Any) -> None:
    """The model's name, published anew."""
    publish_model(site.client, site.tenant, modified_at=1.0, **more)
    service = await site.gateway.start()
    await until(lambda: all(each.modified_at == 1.0 for _, each in service.directory.items(MODELS)))


async def test_a_published_model_is_waited_for_until_a_node_has_fetched_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _listed(site, owner=site.tenant)
    node = await site.add_node()
    models, node.models = node.models, []
    await node.say()
    fleet = (await site.gateway.start()).dispatcher.fleet
    await until(lambda: fleet.engine_name(node.node, VERSION) is None)
    asking = [begun(_post(site, stream=stream)) for stream in (True, False)]
    done, _ = await asyncio.wait(asking, timeout=0.4)
    assert not done, "no node has begun yet"
    node.models = [FETCHING]
    await node.say()
    await until(lambda: fleet._candidates.find(node.node, VERSION) is not None)
    monkeypatch.setattr(grace, "SECONDS", 0.0)
    done, _ = await asyncio.wait(asking, timeout=0.4)
    assert not done, "a fetch is waited for as long as there is time"
    node.models = models
    await node.say()
    assert await asyncio.gather(*asking) == [200, 200]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_while_its_model_is_fetched_leaves_nothing(site: Site, stream: bool) -> None:
    await _listed(site, owner=site.tenant)
    node = await site.add_node()
    node.models = [FETCHING]
    await node.say()
    service = await site.gateway.start()
    dispatcher, callers = service.dispatcher, site.gateway._callers
    await until(lambda: dispatcher.fleet.engine_name(node.node, VERSION) is None)
    before = asyncio.all_tasks()
    asking = [begun(_post(site, stream=stream)) for _ in range(3)]
    await until(lambda: sum(map(len, callers._present.values())) == 3)
    for each in asking:
        each.cancel()
    await until(lambda: [each["outcome"] for each in site.usage()] == ["cancelled"] * 3)
    await until(lambda: not callers._present)
    await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
    assert not {**dispatcher._queue._expected, **dispatcher._queue._waiting, **dispatcher._streams._streams}
    assert site.client.hlen(keys.OPEN) == 0
    assert not site.client.exists(keys.active("k"))
    assert node.tickets == []


@pytest.mark.parametrize(
    ("more", "hosts"),
    [
        ({"owner": "0" * 32}, True),
        ({"owner": "own", "engine": "ollama"}, True),
        ({"owner": "own"}, False),
    ],
    ids=["of another tenant's nodes", "kept by an engine", "no node takes it"],
)
async def test_what_no_node_will_fetch_is_not_waited_for(site: Site, more: dict[str, str], hosts: bool) -> None:
    await _listed(site, **{**more, "owner": more["owner"].replace("own", site.tenant)})
    node = await site.add_node()
    node.models, node.engines = [], [Engine("llamacpp", True, hosts_blobs=hosts)]
    await node.say()
    fleet = (await site.gateway.start()).dispatcher.fleet
    await until(lambda: fleet.engine_name(node.node, VERSION) is None and fleet._states[node.node].models == [])
    async with site.post("/v1/chat/completions", ASK) as response:
        assert response.status == 503
        said = (await response.json())["error"]["message"]
    assert ("whose ollama engine" in said) is ("engine" in more)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("silent", [True, False])
async def test_the_reason_is_told_where_it_is_redis_that_takes_no_writes(
    site: Site, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """As on a full disk, where nodes cannot say that they live."""
    monkeypatch.setattr(grace, "SECONDS", 0.5)
    node = await site.add_node()
    node.mute = True
    if silent:
        await _silent(site, node)
    site.client.config_set("min-replicas-to-write", 1)
    try:
        async with site.post("/v1/chat/completions", ASK) as response:
            body = await response.text()
    finally:
        site.client.config_set("min-replicas-to-write", 0)
    assert (response.status, "NOREPLICAS" in body) == (503, True), body
