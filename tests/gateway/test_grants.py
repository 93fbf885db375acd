"""A key whose right to use models is on single models: the gateway answers as the management API does, and at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ollamamax.bus import directory
from ollamamax.contract import Delta, Event, Ticket
from ollamamax.contract.tables import MODELS
from ollamamax.identity.keys import parse_key
from ollamamax.kernel.ids import new_id
from tests.gateway.conftest import VERSION, Site
from tests.patience import LONG, until

MESSAGES = [{"role": "user", "content": "one"}]
NAMING: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "one"},
    "/v1/responses": {"input": "one", "store": False},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 9},
    "/v1/embeddings": {"input": "one"},
    "/api/chat": {"messages": MESSAGES},
    "/api/generate": {"prompt": "one"},
    "/api/show": {},
}
"""Routes that name a model in their body."""


async def models(site: Site) -> tuple[str, str]:
    """Two models of the tenant, `mine:latest` and `other:latest`, as grants name them."""
    targets = f"model:{new_id()}", f"model:{new_id()}"
    entries = {
        f"{site.tenant}/{name}:latest": msgspec.json.encode(
            {"version": VERSION, "size": 1, "modified_at": 0.0, "model": target}
        )
        for name, target in zip(("mine", "other"), targets, strict=True)
    }
    directory.publish(site.client, "models", entries)
    service = await site.gateway.start()
    await until(lambda: len(service.directory.items(MODELS)) == 3)
    return targets


async def key_for(site: Site, *targets: str) -> str:
    return await site.issue_key(site.tenant, permissions=[], grants={"inference.use": list(targets)})


@pytest.mark.parametrize("path", NAMING)
async def test_a_model_that_was_not_granted_is_not_there(site: Site, path: str) -> None:
    await site.add_node()
    mine, _ = await models(site)
    key = await key_for(site, mine)
    async with site.post(path, {"model": "other", **NAMING[path]}, key) as refused:
        assert refused.status == 404, await refused.text()
    async with site.post(path, {"model": "nowhere", **NAMING[path]}, key) as absent:
        assert absent.status == 404
    async with site.post(path, {"model": "mine", **NAMING[path]}, key) as served:
        assert served.status in {200, 400, 501}, await served.text()
        assert served.status != 404


async def test_lists_hold_what_was_granted(site: Site) -> None:
    mine, _ = await models(site)
    key = await key_for(site, mine)
    headers = {"authorization": f"Bearer {key}"}
    async with site.http.get(f"{site.url}/v1/models", headers=headers) as answer:
        assert [each["id"] for each in (await answer.json())["data"]] == ["mine:latest"]
    async with site.http.get(f"{site.url}/api/tags", headers=headers) as answer:
        assert [each["name"] for each in (await answer.json())["models"]] == ["mine:latest"]
    async with site.http.get(f"{site.url}/v1/models/other", headers=headers) as answer:
        assert answer.status == 404


async def test_a_key_without_any_grant_is_refused_as_one_without_the_permission(site: Site) -> None:
    key = await site.issue_key(site.tenant, permissions=[])
    async with site.post("/v1/chat/completions", {"model": "echo", "messages": MESSAGES}, key) as refused:
        assert refused.status == 403


async def test_a_stream_ends_when_its_grant_does(site: Site) -> None:
    async def endless(ticket: Ticket) -> AsyncIterator[Event]:
        while True:
            yield Delta(text="x", tokens=1)
            await asyncio.sleep(0.01)

    await site.add_node(script=endless)
    mine, other = await models(site)
    key = await key_for(site, mine, other)
    body = {"model": "mine", "stream": True, "messages": MESSAGES}
    async with site.post("/v1/chat/completions", body, key) as stream:
        assert stream.status == 200, await stream.text()
        await stream.content.readany()
        change_grants(site, key, [mine])
        await stream.content.readany()
        assert not stream.content.at_eof()
        change_grants(site, key, [other])
        async with asyncio.timeout(LONG):
            assert b"revoked" in await stream.content.read()


def change_grants(site: Site, key: str, targets: list[str]) -> None:
    parsed = parse_key(key)
    assert parsed is not None
    entry = msgspec.json.decode(site.client.hget("omx:dir:keys", parsed[0]) or b"{}")
    entry["grants"] = {"inference.use": targets}
    directory.publish(site.client, "keys", {parsed[0]: msgspec.json.encode(entry)})
