"""A key that stops working ends what runs with it: in each protocol's form, on every gateway, whatever it is doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from cluster.dispatch.admission import Bounds
from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Ticket
from ollamamax.gateway.standalone import Standalone
from ollamamax.identity.keys import make_key, parse_key
from tests.gateway.conftest import Site, gateway_of, listening, stop_gateway
from tests.gateway.waiting import ask, full, queued
from tests.patience import LONG, until
from tests.servers import free_port

MESSAGES = [{"role": "user", "content": "one two three"}]
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "one"},
    "/v1/responses": {"input": "one"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 900},
    "/api/chat": {"messages": MESSAGES},
    "/api/generate": {"prompt": "one"},
}
SAID = "The API key was revoked or has expired while the request ran."


async def _endless(ticket: Ticket) -> AsyncIterator[Event]:
    while True:
        yield Delta(text="x", tokens=1)
        await asyncio.sleep(0.01)


async def _silent(ticket: Ticket) -> AsyncIterator[Event]:
    await asyncio.sleep(3600)
    yield Delta(text="x", tokens=1)


def _identifier(key: str) -> str:
    parsed = parse_key(key)
    assert parsed is not None
    return parsed[0]


def _revoke(site: Site, key: str) -> None:
    directory.publish(site.client, "keys", {_identifier(key): None})


def _error(last: bytes) -> dict[str, Any]:
    """The error in the last piece of a stream, whatever its protocol."""
    text = last.decode().strip().rpartition("data: ")[2]
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


@pytest.mark.parametrize("path", ROUTES)
async def test_a_revoked_keys_stream_ends_with_an_error_and_the_node_is_told(site: Site, path: str) -> None:
    node = await site.add_node(script=_endless)
    other = await site.issue_key(site.tenant)
    body = {"model": "echo", "stream": True, **ROUTES[path]}
    async with site.post(path, body) as revoked, site.post(path, body, other) as kept:
        await revoked.content.readany()
        _revoke(site, site.key)
        async with asyncio.timeout(LONG):
            rest = await revoked.content.read()
        assert SAID in str(_error(rest.splitlines()[-1] if b"data: " not in rest else rest))
        await kept.content.readany()
        await until(lambda: len(site.usage()) == 1)
        assert not kept.content.at_eof()
        assert len([control for control in node.controls if control.verb == "cancel"]) == 1
    record = site.usage()[0]
    assert (record["outcome"], record["error"]) == ("cancelled", "unauthenticated")
    assert record["completion_tokens"] > 0


async def test_a_revoked_key_ends_answers_in_one_piece_and_several_choices(site: Site) -> None:
    node = await site.add_node(script=_silent)
    for more in ({}, {"n": 2}, {"n": 2, "stream": True}):
        key = await site.issue_key(site.tenant)
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(_status(site, key, more))
            begun = len(node.tickets)
            await until(lambda begun=begun, more=more: len(node.tickets) == begun + more.get("n", 1))  # type: ignore[misc]
            _revoke(site, key)
        assert posting.result() == 401, more


async def _status(site: Site, key: str, more: dict[str, Any]) -> int:
    async with site.post("/v1/chat/completions", {"model": "echo", "messages": MESSAGES, **more}, key) as response:
        await response.read()
        status: int = response.status
        return status


async def test_who_waits_in_the_queue_leaves_it_when_their_key_is_revoked(site: Site) -> None:
    gate, node = await full(site)
    key = await site.issue_key(site.tenant)
    waiting = await ask(site, "waiting", wait=False, key=key)
    await queued(site, 1)
    _revoke(site, key)
    status, answer, _ = await waiting
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    await queued(site, 0)
    gate.let()
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert gate.said == ["first"]


async def test_a_body_that_is_still_being_sent_is_not_waited_for(site: Site) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"model": "echo", "messages": ['
        _revoke(site, site.key)
        await asyncio.sleep(60)

    headers = {"Authorization": f"Bearer {site.key}"}
    async with (
        asyncio.timeout(LONG),
        site.http.post(f"{site.url}/v1/chat/completions", data=endless(), headers=headers) as response,
    ):
        assert response.status == 401


async def test_a_client_that_takes_nothing_does_not_keep_a_revoked_keys_engine(site: Site) -> None:
    async def torrent(ticket: Ticket) -> AsyncIterator[Event]:
        while True:
            yield Delta(text="x" * 50_000, tokens=1)
            await asyncio.sleep(0)

    node = await site.add_node(script=torrent)
    async with site.post("/api/chat", {"model": "echo", "messages": MESSAGES}) as response:
        await response.content.readany()
        await until(lambda: any(control.verb == "pause" for control in node.controls))
        _revoke(site, site.key)
        await until(lambda: any(control.verb == "cancel" for control in node.controls))
    await until(lambda: len(site.usage()) == 1)


@pytest.mark.parametrize("first", [1.0, None], ids=["issued with an end", "given an end while it runs"])
async def test_a_key_that_expires_while_it_streams_is_as_one_that_is_revoked(site: Site, first: float | None) -> None:
    await site.add_node(script=_endless)
    made = make_key()
    entry: dict[str, Any] = {"hash": made.secret_hash, "kind": "key", "id": "k", "tenant": site.tenant, "name": "short"}
    entry |= {"permissions": ["inference.use"], "expires_at": first and time.time() + first}
    directory.publish(site.client, "keys", {made.identifier: msgspec.json.encode(entry)})
    async with site.post("/api/chat", {"model": "echo", "messages": MESSAGES}, made.text) as response:
        await response.content.readany()
        if first is None:
            entry["expires_at"] = time.time() + 0.2
            directory.publish(site.client, "keys", {made.identifier: msgspec.json.encode(entry)})
        async with asyncio.timeout(LONG):
            rest = await response.content.read()
    assert msgspec.json.decode(rest.splitlines()[-1]) == {"error": SAID}


@pytest.mark.parametrize(
    "change",
    [{"permissions": ["model.view"]}, {"tenant": "another"}, {"id": "another"}, {"hash": "another"}],
    ids=lambda change: next(iter(change)),
)
async def test_a_key_that_is_not_what_the_request_was_let_in_with_ends_it(site: Site, change: dict[str, Any]) -> None:
    await site.add_node(script=_endless)
    async with site.post("/api/chat", {"model": "echo", "messages": MESSAGES}) as response:
        await response.content.readany()
        name = _identifier(site.key)
        entry = msgspec.json.decode(site.client.hget(keys.directory("keys"), name) or b"")
        directory.publish(site.client, "keys", {name: msgspec.json.encode(entry | {"name": "renamed"})})
        await response.content.readany()
        directory.publish(site.client, "keys", {name: msgspec.json.encode(entry | change)})
        async with asyncio.timeout(LONG):
            assert SAID.encode() in await response.content.read()


async def test_a_revocation_whose_message_was_lost_is_found_by_comparing(site: Site) -> None:
    await site.add_node(script=_endless)
    async with site.post("/api/chat", {"model": "echo", "messages": MESSAGES}) as response:
        await response.content.readany()
        # As `publish_directory.lua` does it, without the message.
        site.client.hdel(keys.directory("keys"), _identifier(site.key))
        site.client.incr(keys.DIRECTORY_VERSION)
        async with asyncio.timeout(LONG):
            assert SAID.encode() in await response.content.read()


async def test_an_emptied_redis_ends_nothing_and_a_key_that_is_not_published_again_ends(site: Site) -> None:
    """Redis forgot everything; the loop publishes all keys that work, among which the revoked one is not."""
    await site.add_node(script=_endless)
    good = await site.issue_key(site.tenant)
    entry = site.client.hget(keys.directory("keys"), _identifier(good))
    assert entry is not None
    body = {"model": "echo", "messages": MESSAGES}
    async with site.post("/api/chat", body) as revoked, site.post("/api/chat", body, good) as kept:
        await revoked.content.readany()
        await kept.content.readany()
        site.client.delete(keys.directory("keys"), keys.DIRECTORY_VERSION)
        directory.publish(site.client, "tenants", {site.tenant: b"{}"})
        service = await site.gateway.start()
        await until(lambda: "keys" in service.directory._incomplete)
        await revoked.content.readany()
        directory.reconcile(site.client, "keys", lambda: {_identifier(good): entry})
        async with asyncio.timeout(LONG):
            assert SAID.encode() in await revoked.content.read()
        assert await kept.content.readany()


async def test_every_gateway_ends_what_it_runs(site: Site) -> None:
    await site.add_node(script=_endless)
    second = gateway_of(site.redis_url, bounds=Bounds(waiting=4, waiting_of_tenant=2))
    port = free_port()
    headers = {"Authorization": f"Bearer {site.key}"}
    body = {"model": "echo", "messages": MESSAGES}
    async with (
        listening(Standalone(second), port),
        site.post("/api/chat", body) as here,
        site.http.post(f"http://127.0.0.1:{port}/api/chat", json=body, headers=headers) as there,
    ):
        await here.content.readany()
        await there.content.readany()
        _revoke(site, site.key)
        async with asyncio.timeout(LONG):
            for response in (here, there):
                assert SAID.encode() in await response.content.read()
    await stop_gateway(second)


async def test_what_has_ended_is_not_remembered(site: Site) -> None:
    await site.add_node()
    assert (await ask(site, "one"))[0] == 200
    await until(lambda: not site.gateway._callers._present)
