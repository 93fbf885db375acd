"""/api/ps, and loading and unloading by a request without a prompt."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import ollama
import pytest

from ollamamax.contract import Failure, Gpu, ModelState
from tests.gateway.conftest import VERSION, Site
from tests.gateway.scripts import remembers
from tests.patience import until


def _client(site: Site, key: str | None = None) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {key or site.key}"})


async def test_ps_shows_what_each_node_has_in_memory(site: Site, stranger: str) -> None:
    until_then = time.time() + 300
    first, second = await site.add_node(), await site.add_node()
    first.models = [
        ModelState(VERSION, "engine-name", "loaded", "ollama", size=100, memory=500, vram=400, context_length=4096)
    ]
    first.gpus = [Gpu(0, "H200")]
    first.models[0].expires_at = until_then
    second.models = [
        ModelState(VERSION, "echo", "loaded", "llamacpp", size=100, memory=300),
        ModelState("sha256:" + "cd" * 32, "other", "ready", "llamacpp", size=50),
    ]
    await first.say()
    await second.say()

    async def rows() -> list[dict[str, Any]]:
        async with site.get("/api/ps") as response:
            found: list[dict[str, Any]] = (await response.json())["models"]
            return sorted(found, key=lambda row: row["node"])

    while [row["size"] for row in await rows()] != [500, 300]:
        pass
    one, two = await rows()
    assert (one["name"], one["model"], one["node"], one["digest"]) == (
        "echo:latest",
        "echo:latest",
        "node-0",
        "ab" * 32,
    )
    assert (one["size_vram"], one["context_length"]) == (400, 4096)
    assert one["details"]["quantization_level"] == "Q4_1"
    assert datetime.fromisoformat(one["expires_at"]) == datetime.fromtimestamp(until_then, UTC)
    assert (two["size_vram"], two["expires_at"]) == (0, "2318-01-01T00:00:00Z")
    listed = await _client(site).ps()
    assert sorted(model.size or 0 for model in listed.models) == [300, 500]
    assert (await _client(site, stranger).ps()).models == []


async def test_vram_that_nobody_knows_is_not_made_up(site: Site) -> None:
    node = await site.add_node()
    node.gpus = [Gpu(0, "H200")]
    await node.say()
    service = await site.gateway.start()
    await until(lambda: bool(service.dispatcher.fleet.states(site.tenant)[0].gpus))
    async with site.get("/api/ps") as response:
        [row] = (await response.json())["models"]
    assert "size_vram" not in row


@pytest.mark.parametrize(("path", "body"), [("/api/generate", {"prompt": ""}), ("/api/chat", {"messages": []})])
async def test_an_empty_request_loads_the_model(site: Site, path: str, body: dict[str, Any]) -> None:
    node = await site.add_node(script=remembers)
    async with site.post(path, {"model": "echo", "keep_alive": "10m", **body}) as response:
        assert response.headers["content-type"] == "application/json"
        answer = await response.json()
    assert (answer["done"], answer["done_reason"], answer["model"]) == (True, "load", "echo")
    assert answer.get("response", "") == ""
    assert answer.get("message", {"role": "assistant", "content": ""}) == {"role": "assistant", "content": ""}
    assert node.tickets[0].inference.keep_alive == 600
    await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["prompt_tokens"], site.usage()[0]["outcome"]) == (0, "ok")


async def test_the_official_client_loads_and_unloads(site: Site) -> None:
    await site.add_node(script=remembers)
    assert (await _client(site).generate(model="echo")).done_reason == "load"
    assert (await _client(site).generate(model="echo", keep_alive=0)).done_reason == "unload"
    assert (await _client(site).chat(model="echo", keep_alive=0)).done_reason == "unload"


async def test_unloading_reaches_every_node_that_has_it_loaded(site: Site) -> None:
    nodes = [await site.add_node(script=remembers) for _ in range(3)]
    nodes[2].models = [ModelState(VERSION, "echo", "ready", "llamacpp")]
    await nodes[2].say()
    service = await site.gateway.start()
    await until(lambda: any(s.models[0].state == "ready" for s in service.dispatcher.fleet.states(site.tenant)))
    async with site.post("/api/generate", {"model": "echo", "keep_alive": "0s"}) as response:
        assert (await response.json())["done_reason"] == "unload"
    assert [len(node.tickets) for node in nodes] == [1, 1, 0]
    await until(lambda: len(site.usage()) == 2)
    assert len({record["request"] for record in site.usage()}) == 2


async def test_unloading_what_nobody_has_loaded_is_no_error(site: Site) -> None:
    node = await site.add_node(script=remembers)
    node.models = [ModelState(VERSION, "echo", "ready", "llamacpp")]
    await node.say()
    service = await site.gateway.start()
    await until(lambda: service.dispatcher.fleet.states(site.tenant)[0].models[0].state == "ready")
    async with site.post("/api/chat", {"model": "echo", "keep_alive": 0}) as response:
        assert (await response.json())["done_reason"] == "unload"


async def _cannot(ticket: object) -> Any:
    yield Failure("unsupported", "The openai engine cannot do keep_alive: its server decides.", 400, "keep_alive")


async def test_an_engine_that_cannot_unload_is_named(site: Site) -> None:
    await site.add_node(script=_cannot)
    async with site.post("/api/chat", {"model": "echo", "keep_alive": 0}) as response:
        assert response.status == 400
        assert "openai engine" in (await response.json())["error"]


async def test_without_a_node_or_with_bad_input_nothing_is_loaded(site: Site, stranger: str) -> None:
    async with site.post("/api/generate", {"model": "echo"}) as response:
        assert response.status == 503
    node = await site.add_node(script=remembers)
    for body, status in (
        ({"model": "nothing"}, 404),
        ({"model": "nothing", "keep_alive": 0}, 404),
        ({"model": "echo", "keep_alive": "soon"}, 400),
    ):
        async with site.post("/api/generate", body) as response:
            assert response.status == status
    for keep_alive in (0, 5):
        async with site.post("/api/chat", {"model": "echo", "keep_alive": keep_alive}, key=stranger) as response:
            assert response.status == 404
    assert node.tickets == []
    async with site.post("/api/generate", {"model": "echo", "options": {"num_ctx": 8192}}) as response:
        assert response.status == 200
    assert node.tickets[0].inference.options.num_ctx == 8192


@pytest.mark.parametrize(
    "said", [{"expires_in": 1e15}, {"expires_in": -1e15}, {"expires_at": 1e15}, {"expires_at": -1.0}]
)
async def test_a_time_that_is_none_does_not_break_the_list(site: Site, said: dict[str, float]) -> None:
    node = await site.add_node()
    for name, value in said.items():
        setattr(node.models[0], name, value)
    await node.say()
    states = (await site.gateway.start()).dispatcher.fleet.states
    (name,) = said
    await until(lambda: getattr(states(site.tenant)[0].models[0], name) is not None)
    async with site.get("/api/ps") as response:
        assert [row["expires_at"] for row in (await response.json())["models"]] == ["2318-01-01T00:00:00Z"]
