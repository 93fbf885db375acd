"""A tenant's further names for its models."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ollamamax.bus import directory
from ollamamax.contract.tables import ALIASES
from tests.gateway.conftest import VERSION, Site
from tests.patience import until

SAY = [{"role": "user", "content": "one two"}]
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": SAY}),
    ("/v1/messages", {"messages": SAY, "max_tokens": 9}),
    ("/v1/responses", {"input": "one two"}),
    ("/v1/completions", {"prompt": "one two"}),
    ("/api/chat", {"messages": SAY, "stream": False}),
    ("/api/generate", {"prompt": "one two", "stream": False}),
]


async def add_alias(site: Site, name: str, target: str, tenant: str | None = None) -> None:
    entry = {"target": target, "modified_at": 1_750_000_000.0}
    field = f"{tenant or site.tenant}/{name}"
    directory.publish(site.client, "aliases", {field: msgspec.json.encode(entry)})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(ALIASES, field) is not None)


@pytest.mark.parametrize(("path", "body"), BODIES, ids=[path for path, _ in BODIES])
async def test_an_alias_is_served_by_its_model_in_every_protocol(site: Site, path: str, body: dict[str, Any]) -> None:
    await site.add_node()
    await add_alias(site, "gpt-4o:latest", "echo:latest")
    async with site.post(path, {"model": "gpt-4o", **body}) as response:
        assert response.status == 200
        answer = await response.json()
    assert answer["model"] == "gpt-4o"
    assert "one two" in str(answer)
    await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["model"], site.usage()[0]["version"]) == ("echo:latest", VERSION)


async def test_lists_name_it_with_what_is_true_of_its_model(site: Site) -> None:
    await site.add_node()
    await add_alias(site, "gpt-4o:latest", "echo:latest")
    await add_alias(site, "lost:latest", "gone:latest")
    async with site.get("/v1/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["echo:latest", "gpt-4o:latest"]
    async with site.get("/v1/models/gpt-4o") as response:
        assert (await response.json())["created"] == 1_750_000_000
    async with site.get("/api/tags") as response:
        echo, alias = (await response.json())["models"]
    assert (alias["name"], alias["model"]) == ("gpt-4o:latest", "gpt-4o:latest")
    assert alias["modified_at"] == "2025-06-15T15:06:40Z"
    for field in ("size", "digest", "details"):
        assert alias[field] == echo[field]
    # What is in memory is the model.
    async with site.get("/api/ps") as response:
        assert [model["name"] for model in (await response.json())["models"]] == ["echo:latest"]
    async with site.post("/api/show", {"model": "gpt-4o"}) as response:
        assert (await response.json())["details"]["family"] == "llama"


async def test_an_alias_whose_model_is_gone_says_so(site: Site) -> None:
    await add_alias(site, "lost:latest", "gone:1b")
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
        async with site.post(path, {"model": "lost", "messages": SAY, "max_tokens": 9}) as response:
            assert response.status == 404
            assert "'lost' not found: it is an alias of 'gone:1b'" in await response.text()


async def test_an_alias_of_an_alias_is_not_followed(site: Site) -> None:
    await site.add_node()
    await add_alias(site, "one:latest", "echo:latest")
    await add_alias(site, "two:latest", "one:latest")
    async with site.post("/api/chat", {"model": "two", "messages": SAY}) as response:
        assert response.status == 404


async def test_a_stranger_knows_nothing_of_it(site: Site, stranger: str) -> None:
    await site.add_node()
    await add_alias(site, "gpt-4o:latest", "echo:latest")
    async with site.post("/api/chat", {"model": "gpt-4o", "messages": SAY}, key=stranger) as response:
        assert response.status == 404
        assert "alias" not in await response.text()
    async with site.get("/api/tags", key=stranger) as response:
        assert (await response.json())["models"] == []
