"""Shared nodes run every tenant's requests, and are shown to their own tenant only; shared models have a name for all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from ollamamax.bus import directory, keys
from ollamamax.contract import Event, Failure, ModelState, Ticket
from ollamamax.contract.tables import MODELS
from ollamamax.kernel.ids import new_id
from tests.gateway.conftest import VERSION, Site, publish_model
from tests.gateway.scripts import remembers
from tests.patience import until

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello there"}], "stream": False}
OTHER = "sha256:" + "cd" * 32


async def share_model(site: Site, name: str = "echo:latest") -> None:
    publish_model(site.client, "*", name)
    service = await site.gateway.start()
    await until(lambda: service.directory.get(MODELS, f"*/{name}") is not None)


async def test_a_shared_node_runs_another_tenants_request_and_the_record_is_that_tenants(
    site: Site, stranger: str
) -> None:
    owner = new_id()
    node = await site.add_node(tenant=owner, shared=True)
    await share_model(site)
    async with site.post("/api/chat", CHAT, key=stranger) as response:
        assert response.status == 200
        assert response.headers["x-ollamamax-node"] == "node-0"
        assert "hello there" in (await response.json())["message"]["content"]
    await until(lambda: len(site.usage()) == 1)
    (record,) = site.usage()
    assert record["tenant"] == node.tickets[0].tenant
    assert record["tenant"] not in {site.tenant, owner}
    assert record["outcome"] == "ok"
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_a_node_that_is_not_shared_runs_its_own_tenants_requests_only(site: Site, stranger: str) -> None:
    node = await site.add_node()
    await share_model(site)
    async with site.post("/api/chat", CHAT, key=stranger) as response:
        assert response.status == 503
    async with site.post("/api/chat", CHAT) as response:
        assert response.status == 200
    assert len(node.tickets) == 1


async def test_a_node_runs_the_requests_of_the_tenants_in_its_list_and_of_no_others(site: Site) -> None:
    third, listed = new_id(), new_id()
    key = await site.issue_key(listed)
    node = await site.add_node(tenant=new_id(), access=[third, listed], hourly_cost=7.2, currency="EUR", capacity=2)
    await share_model(site)
    async with site.post("/api/chat", CHAT, key=key) as response:
        assert response.status == 200
    async with site.post("/api/chat", CHAT) as response:
        assert response.status == 503
    async with site.get("/api/ps", key=key) as response:
        assert (await response.json())["models"] == []
    assert [ticket.tenant for ticket in node.tickets] == [listed]
    # What it cost is stamped when it is settled, at the price of then: a slot of two, at 7.2 an hour.
    await until(lambda: any(each["outcome"] == "ok" for each in site.usage()))
    [record] = [each for each in site.usage() if each["outcome"] == "ok"]
    [attempt] = record["route"]["attempts"]
    assert (record["currency"], attempt["price"]) == ("EUR", 3.6)
    assert 0 <= record["cost"] <= 3.6 / 3600 * record["duration_ms"] / 1000 + 1e-9


async def _breaks(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("engine_failed", "the engine broke", 502)


async def test_what_fails_on_a_shared_node_is_tried_on_the_next(site: Site, stranger: str) -> None:
    first = await site.add_node(tenant=new_id(), shared=True, script=_breaks)
    second = await site.add_node(shared=True)
    private = await site.add_node()
    second.models = [ModelState(VERSION, "echo", "ready", "llamacpp")]  # the second choice
    await second.say()
    service = await site.gateway.start()
    fleet = service.dispatcher.fleet
    await until(lambda: [s.node for s in fleet.states(site.tenant) if s.models[0].state == "ready"] == [second.node])
    await share_model(site)
    async with site.post("/api/chat", CHAT, key=stranger) as response:
        assert response.status == 200
    assert [len(node.tickets) for node in (first, second, private)] == [1, 1, 0]


async def test_others_are_not_shown_a_shared_node(site: Site, stranger: str) -> None:
    await site.add_node(shared=True)
    await share_model(site)
    async with site.get("/api/ps") as response:
        assert [row["node"] for row in (await response.json())["models"]] == ["node-0"]
    async with site.get("/api/ps", key=stranger) as response:
        assert (await response.json())["models"] == []


@pytest.mark.parametrize("address", ["/api/tags", "/v1/models"])
async def test_a_shared_name_is_listed_for_all_and_once(site: Site, stranger: str, address: str) -> None:
    await share_model(site)
    await share_model(site, "common:1b")
    for key in (site.key, stranger):
        async with site.get(address, key=key) as response:
            answer = await response.json()
        listed = [row.get("name") or row["id"] for row in answer.get("models") or answer["data"]]
        assert sorted(listed) == ["common:1b", "echo:latest"]


async def test_a_tenants_own_name_comes_first(site: Site) -> None:
    node = await site.add_node(shared=True)
    node.models = [
        ModelState(VERSION, "shared one", "ready", "llamacpp"),
        ModelState(OTHER, "own", "ready", "llamacpp"),
    ]
    await node.say()
    await share_model(site)
    entry = {"version": OTHER, "size": 1, "modified_at": 1.0}
    directory.publish(site.client, "models", {f"{site.tenant}/echo:latest": msgspec.json.encode(entry)})
    service = await site.gateway.start()
    await until(lambda: OTHER in {listed.version for _, listed in service.directory.items(MODELS)})
    await until(lambda: service.dispatcher.fleet.engine_name(node.node, OTHER) == "own")
    async with site.post("/api/chat", CHAT) as response:
        assert response.status == 200
    assert node.tickets[0].version == OTHER
    async with site.get("/api/tags") as response:
        (row,) = (await response.json())["models"]
    assert row["digest"] == "cd" * 32


async def test_what_all_use_is_not_unloaded_for_one(site: Site, stranger: str) -> None:
    shared = await site.add_node(tenant=new_id(), shared=True, script=remembers)
    await share_model(site)
    async with site.post("/api/generate", {"model": "echo", "keep_alive": 0}, key=stranger) as response:
        assert response.status == 503
        assert "shared" in (await response.json())["error"]
    own = await site.add_node(script=remembers)
    for _ in range(2):
        async with site.post("/api/generate", {"model": "echo", "keep_alive": 0}) as response:
            assert (await response.json())["done_reason"] == "unload"
    assert (len(shared.tickets), len(own.tickets)) == (0, 2)
