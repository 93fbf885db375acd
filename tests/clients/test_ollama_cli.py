"""What the `ollama` program sends for each of its commands (its Go client's own JSON, empty fields and all), and what it reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from tests.clients.conftest import anything
from tests.gateway.conftest import Site
from tests.patience import until

HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "ollama/0.12.11 (amd64 linux) Go/go1.24.1",
    "Accept-Encoding": "gzip",
}
LINES = {"Accept": "application/x-ndjson"}
SHOW = {"model": "", "system": "", "template": "", "verbose": False, "options": None, "name": "echo"}
GENERATE = {"model": "echo", "prompt": "", "suffix": "", "system": "", "template": "", "options": None}


@pytest.fixture
async def cli(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    await site.add_node(script=anything)
    headers = HEADERS | {"Authorization": f"Bearer {site.key}"}
    async with aiohttp.ClientSession(site.url, headers=headers, auto_decompress=False) as session:
        yield session


async def _json(response: aiohttp.ClientResponse) -> Any:
    assert response.status == 200
    body = await response.read()
    return json.loads(gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body)


async def _lines(response: aiohttp.ClientResponse) -> list[Any]:
    """As its line scanner does: what each line holds must be JSON, and no stream is compressed."""
    assert response.status == 200
    assert "Content-Encoding" not in response.headers
    return [json.loads(line) for line in (await response.read()).splitlines()]


async def test_every_command_asks_first_whether_there_is_an_ollama(cli: aiohttp.ClientSession) -> None:
    async with cli.head("/") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_version(cli: aiohttp.ClientSession) -> None:
    async with cli.get("/api/version") as response:
        major, minor, patch = (await _json(response))["version"].split(".")
    assert (int(major), int(minor)) >= (0, 12)
    assert patch.isdecimal()


async def test_list(cli: aiohttp.ClientSession) -> None:
    async with cli.get("/api/tags", headers={"Accept": "application/json"}) as response:
        [model] = (await _json(response))["models"]
    assert model["name"] == "echo:latest"
    assert len(model["digest"]) >= 12
    assert isinstance(model["size"], int)
    assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None


async def test_ps(cli: aiohttp.ClientSession) -> None:
    async with cli.get("/api/ps") as response:
        [model] = (await _json(response))["models"]
    assert {"name", "model", "size", "digest", "expires_at", "size_vram"} <= model.keys()
    assert datetime.fromisoformat(model["expires_at"]).tzinfo is not None


async def test_show(cli: aiohttp.ClientSession) -> None:
    async with cli.post("/api/show", json=SHOW) as response:
        shown = await _json(response)
    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["capabilities"] == ["completion"]
    assert shown["details"]["quantization_level"] == "Q4_1"


async def test_run_with_a_prompt(cli: aiohttp.ClientSession) -> None:
    async with cli.post("/api/show", json=SHOW) as response:
        assert response.status == 200
    body: dict[str, Any] = {**GENERATE, "prompt": "one two three", "options": {}}
    async with cli.post("/api/generate", json=body, headers=LINES) as response:
        lines = await _lines(response)
    assert "".join(line["response"] for line in lines) == "one two three"
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert lines[-1]["done_reason"] == "stop"


async def test_run_as_a_conversation_loads_the_model_and_then_chats(cli: aiohttp.ClientSession) -> None:
    async with cli.post("/api/generate", json=GENERATE, headers=LINES) as response:
        [loaded] = await _lines(response)
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "one two three"},
    ]
    async with cli.post(
        "/api/chat", json={"model": "echo", "messages": messages, "options": {}}, headers=LINES
    ) as response:
        lines = await _lines(response)
    assert "".join(line["message"]["content"] for line in lines) == "one two three"
    assert {"total_duration", "load_duration", "prompt_eval_count", "eval_count", "eval_duration"} <= lines[-1].keys()


async def test_stop(cli: aiohttp.ClientSession) -> None:
    async with cli.post("/api/generate", json={**GENERATE, "keep_alive": "0s"}, headers=LINES) as response:
        [unloaded] = await _lines(response)
    assert unloaded["done_reason"] == "unload"


async def test_interrupting_a_run_stops_the_node(site: Site, cli: aiohttp.ClientSession) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "endless"}], "options": {}}
    async with cli.post("/api/chat", json=body, headers=LINES) as response:
        await response.content.readline()
        response.close()
    await until(lambda: any(control.verb == "cancel" for control in site.nodes[0].controls))


@pytest.mark.parametrize("path", ["/api/show", "/api/generate"])
async def test_a_model_that_is_not_there_is_404_so_that_it_pulls(cli: aiohttp.ClientSession, path: str) -> None:
    async with cli.post(path, json={**SHOW, "name": "absent", "model": "absent"}) as response:
        assert response.status == 404
        assert json.loads(await response.read()) == {"error": "model 'absent' not found"}
