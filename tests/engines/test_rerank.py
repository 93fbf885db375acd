"""Reranking on each engine: llama.cpp with a real reranker, an OpenAI-compatible server, and Ollama, which has none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cluster.engines.base import LocalModel
from cluster.engines.llamacpp import LlamaCpp
from cluster.engines.ollama import Ollama
from cluster.engines.openai import OpenAI, version_of
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, InvalidRequest, Unsupported
from tests import reranker, smollm
from tests.engines.conftest import chat

RANKER, TALKER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
DOCUMENTS = ["the cat sat", "dog", "a fish swims", "dog"]


class Models:
    """A reranker, and the bundled model that chats."""

    def __init__(self, folder: Path) -> None:
        ranker = reranker.write(folder / "ranker.gguf", words="the cat sat dog fish swims")
        self.found = {
            version: LocalModel(version, name, path, path.stat().st_size)
            for version, name, path in ((RANKER, "ranker", ranker), (TALKER, "talker", smollm.path()))
        }

    def find(self, version: str) -> LocalModel | None:
        return self.found.get(version)


@pytest.fixture
async def llamacpp(tmp_path: Path) -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp(Models(tmp_path), slots=2, context=128, threads=1)
    await made.start()
    yield made
    await made.close()


def ask(documents: list[str], query: str = "cat sat") -> contract.Inference:
    return contract.Inference("rerank", prompt=query, inputs=documents)


async def run(engine: Any, version: str, inference: contract.Inference, model: str = "m") -> contract.Final:
    *_, final = [event async for event in engine.generate(version, model, inference)]
    assert isinstance(final, contract.Final)
    return final


async def test_llamacpp_scores_each_document_in_their_order(llamacpp: LlamaCpp) -> None:
    final = await run(llamacpp, RANKER, ask(DOCUMENTS))
    assert final.load_ms > 0
    assert final.prompt_tokens > 0
    assert len(final.scores) == 4
    assert final.scores[1] == final.scores[3]
    assert len(set(final.scores)) == 3
    alone = [(await run(llamacpp, RANKER, ask([text]))).scores[0] for text in DOCUMENTS]
    assert final.scores == pytest.approx(alone, abs=1e-4)
    other = await run(llamacpp, RANKER, ask(DOCUMENTS, "dog"))
    assert other.scores != final.scores


async def test_llamacpp_refuses_what_the_model_was_not_made_for(llamacpp: LlamaCpp) -> None:
    with pytest.raises(Unsupported, match="talker is no reranker"):
        await run(llamacpp, TALKER, ask(DOCUMENTS))
    for other in (chat("Hi"), contract.Inference("completion", prompt="x"), contract.Inference("embed", inputs=["x"])):
        with pytest.raises(Unsupported, match="ranker is a reranker"):
            await run(llamacpp, RANKER, other)
    assert not await llamacpp.models()  # nothing was loaded to find that out
    shown = await run(llamacpp, RANKER, contract.Inference("show"))
    assert shown.info["capabilities"] == ["rerank"]


async def test_a_document_that_does_not_fit_is_the_callers_to_shorten(llamacpp: LlamaCpp) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await run(llamacpp, RANKER, ask(["x " * 500]))
    assert refused.value.fields["param"] == "documents"
    assert len((await run(llamacpp, RANKER, ask(DOCUMENTS))).scores) == 4


class Server:
    """An OpenAI-compatible server's ``/v1/rerank``; ``answer`` is what it says, status first."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: tuple[int, Any] = (200, {"results": []})

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/rerank", self.rerank)
        return app

    async def rerank(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        status, body = self.answer
        return web.json_response(body, status=status)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, OpenAI]]:
    server = Server()
    async with TestServer(server.application()) as running:
        engine = OpenAI(str(running.make_url("/")))
        await engine.start()
        yield server, engine
        await engine.close()


async def test_a_server_is_asked_for_every_document_and_its_order_is_undone(served: tuple[Server, OpenAI]) -> None:
    server, engine = served
    # As vLLM answers.
    rows = [{"index": i, "document": {"text": "x"}, "relevance_score": s} for i, s in ((2, 0.9), (0, 0.5), (1, 0.1))]
    server.answer = (200, {"id": "r", "model": "big", "usage": {"total_tokens": 56}, "results": rows})
    final = await run(engine, version_of("big"), ask(["a", "b", "c"]), "big")
    assert final.scores == [0.5, 0.1, 0.9]
    assert final.prompt_tokens == 56
    assert server.asked == [{"model": "big", "query": "cat sat", "documents": ["a", "b", "c"], "top_n": 3}]


async def test_a_server_that_cannot_is_named(served: tuple[Server, OpenAI]) -> None:
    server, engine = served
    # As llama-server without its mode, and as vLLM with a model that chats.
    for status, body in (
        (501, {"error": {"message": "This server does not support reranking."}}),
        (404, {"detail": "Not Found"}),
    ):
        server.answer = (status, body)
        with pytest.raises(Unsupported, match="openai engine cannot do rerank"):
            await run(engine, version_of("big"), ask(["a"]), "big")
    server.answer = (400, {"error": {"message": "too long"}})
    with pytest.raises(InvalidRequest, match="too long"):
        await run(engine, version_of("big"), ask(["a"]), "big")
    odds: list[dict[str, Any]] = [{"results": [{"index": 5, "relevance_score": 1}]}, {"scores": []}]
    for odd in odds:
        server.answer = (200, odd)
        with pytest.raises(EngineFailed):
            await run(engine, version_of("big"), ask(["a"]), "big")


async def test_ollama_has_no_reranking() -> None:
    with pytest.raises(Unsupported, match="ollama engine cannot do rerank"):
        await run(Ollama("http://127.0.0.1:9"), "sha256:" + "3" * 64, ask(["a"]))
