"""/v1/embeddings, /api/embed and /api/embeddings, with the official clients and by hand."""

from __future__ import annotations

from typing import Any

import ollama
import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.scripts import embeds, embeds_not, remembers
from tests.patience import until


def _openai(site: Site, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key or site.key, max_retries=0)


def _ollama(site: Site) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})


async def test_openais_client_gets_numbers_either_way(site: Site) -> None:
    node = await site.add_node(script=embeds)
    # The client itself asks for base64 when nothing is said, and decodes it.
    answer = await _openai(site).embeddings.create(model="echo", input=["one", "three"], dimensions=2)
    assert [row.embedding for row in answer.data] == [[3.0, pytest.approx(0.1)], [5.0, pytest.approx(0.1)]]
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == 5
    assert node.tickets[0].inference.inputs == ["one", "three"]
    assert node.tickets[0].inference.dimensions == 2
    async with site.post("/v1/embeddings", {"model": "echo", "input": "one"}) as response:
        assert (await response.json())["data"] == [{"object": "embedding", "index": 0, "embedding": [3.0, 0.1]}]
    async with site.post("/v1/embeddings", {"model": "echo", "input": "one", "encoding_format": "base64"}) as response:
        assert (await response.json())["data"][0]["embedding"] == "AABAQM3MzD0="


async def test_ollamas_client_gets_them_too(site: Site) -> None:
    node = await site.add_node(script=embeds)
    answer = await _ollama(site).embed(model="echo", input=["one", "three"], truncate=False, keep_alive="5m")
    assert list(answer.embeddings) == [[3.0, 0.1], [5.0, 0.1]]
    assert (answer.prompt_eval_count, answer.load_duration) == (5, 1_000_000)
    assert (answer.total_duration or 0) > 0
    assert (node.tickets[0].inference.truncate, node.tickets[0].inference.keep_alive) == (False, 300)
    old = await _ollama(site).embeddings(model="echo", prompt="seven")
    assert list(old.embedding) == [5.0, 0.1]


async def test_each_leaves_a_record(site: Site) -> None:
    await site.add_node(script=embeds)
    bodies = {
        "/v1/embeddings": {"model": "echo", "input": "x"},
        "/api/embed": {"model": "echo", "input": "x"},
        "/api/embeddings": {"model": "echo", "prompt": "x"},
    }
    for path, body in bodies.items():
        async with site.post(path, body) as response:
            assert response.status == 200
    await until(lambda: len(site.usage()) == 3)
    assert {record["api"]: (record["prompt_tokens"], record["outcome"]) for record in site.usage()} == dict.fromkeys(
        bodies, (5, "ok")
    )


async def test_an_engine_that_cannot_is_named(site: Site) -> None:
    await site.add_node(script=embeds_not)
    with pytest.raises(openai.BadRequestError) as error:
        await _openai(site).embeddings.create(model="echo", input="one")
    assert "openai engine cannot do embed" in error.value.message
    with pytest.raises(ollama.ResponseError, match="openai engine cannot do embed"):
        await _ollama(site).embed(model="echo", input="one")


BAD: list[tuple[str, Any, int]] = [
    ("/v1/embeddings", {"model": "echo"}, 400),
    ("/v1/embeddings", {"model": "echo", "input": []}, 400),
    ("/v1/embeddings", {"model": "echo", "input": ""}, 400),
    ("/v1/embeddings", {"model": "echo", "input": ["a", ""]}, 400),
    ("/v1/embeddings", {"model": "echo", "input": ["a"] * 2049}, 400),
    ("/v1/embeddings", {"model": "echo", "input": "a", "encoding_format": "hex"}, 400),
    ("/v1/embeddings", {"model": "echo", "input": "a", "dimensions": 0}, 400),
    ("/v1/embeddings", {"model": "echo", "input": [1, -1]}, 400),
    ("/v1/embeddings", {"model": "echo", "input": [[1], "a"]}, 400),
    ("/v1/embeddings", {"model": "nothing", "input": "a"}, 404),
    ("/api/embed", {"model": "echo", "input": [1]}, 400),
    ("/api/embed", {"model": "echo", "input": 1}, 400),
    ("/api/embed", {"model": "echo", "input": ["a", ""]}, 400),
    ("/api/embed", {"model": "echo", "input": "a", "options": {"num_ctx": "2k"}}, 400),
    ("/api/embed", {"model": "nothing", "input": "a"}, 404),
    ("/api/embeddings", {"model": "echo", "prompt": ["a"]}, 400),
]


@pytest.mark.parametrize(("path", "body", "status"), BAD)
async def test_bad_input_is_refused(site: Site, path: str, body: Any, status: int) -> None:
    await site.add_node(script=embeds)
    async with site.post(path, body) as response:
        assert response.status == status
        assert (await response.json())["error"]
    assert site.usage() == []


async def test_ollamas_vectors_are_shortened_here_whatever_the_engine_can(site: Site) -> None:
    node = await site.add_node(script=embeds)
    answer = await _ollama(site).embed(model="echo", input=["x" * 3, "x" * 4], dimensions=1)
    assert answer.embeddings == [[1.0], [1.0]]
    assert (node.tickets[0].inference.dimensions, node.tickets[0].inference.truncate) == (None, True)


async def test_nothing_to_embed_loads_the_model(site: Site) -> None:
    node = await site.add_node(script=remembers)
    answer = await _ollama(site).embed(model="echo", input=[])
    assert (list(answer.embeddings), node.tickets[0].inference.kind) == ([], "chat")
    assert list((await _ollama(site).embeddings(model="echo", prompt="")).embedding) == []


async def test_tokens_reach_the_engine_as_they_are(site: Site) -> None:
    node = await site.add_node(script=embeds)
    for given in ([1, 2], [[1, 2]]):
        async with site.post("/v1/embeddings", {"model": "echo", "input": given}) as response:
            assert response.status == 200
        assert (node.tickets[-1].inference.input_ids, node.tickets[-1].inference.inputs) == ([[1, 2]], [])


async def test_a_stranger_reaches_no_node(site: Site, stranger: str) -> None:
    node = await site.add_node(script=embeds)
    for path, body in (("/v1/embeddings", {"input": "a"}), ("/api/embed", {"input": "a"})):
        async with site.post(path, {"model": "echo", **body}, key=stranger) as response:
            assert response.status == 404
    async with site.post("/api/embeddings", {"model": "echo", "prompt": "a"}, key=stranger) as response:
        assert response.status == 404
    assert node.tickets == []
