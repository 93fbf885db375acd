"""/v1/rerank: the order of documents, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ollamamax.contract import Event, Failure, Final, Ticket
from tests.gateway.conftest import Site
from tests.patience import until

DOCUMENTS = ["bb", "a", "dddd", "ccc"]
ASKED: dict[str, Any] = {"model": "echo", "query": "how long?", "documents": DOCUMENTS}


async def lengths(ticket: Ticket) -> AsyncIterator[Event]:
    """The longest is the most relevant."""
    yield Final(prompt_tokens=9, scores=[len(text) / 8 for text in ticket.inference.inputs])


async def test_documents_come_back_by_relevance(site: Site) -> None:
    node = await site.add_node(script=lengths)
    async with site.post("/v1/rerank", ASKED) as response:
        answer = await response.json()
        assert response.headers["x-ollamamax-node"] == "node-0"
    assert answer["model"] == "echo"
    assert answer["results"] == [
        {"index": 2, "relevance_score": 0.5},
        {"index": 3, "relevance_score": 0.375},
        {"index": 0, "relevance_score": 0.25},
        {"index": 1, "relevance_score": 0.125},
    ]
    assert answer["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert answer["id"].startswith("rerank-")
    inference = node.tickets[0].inference
    assert (inference.kind, inference.prompt, inference.inputs) == ("rerank", "how long?", DOCUMENTS)
    await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["api"], site.usage()[0]["prompt_tokens"]) == ("/v1/rerank", 9)


async def test_as_many_as_asked_with_their_texts(site: Site) -> None:
    await site.add_node(script=lengths)
    objects = [{"text": text} for text in DOCUMENTS]
    for documents in (DOCUMENTS, objects):
        asked = ASKED | {"documents": documents, "top_n": 2, "return_documents": True}
        async with site.post("/v1/rerank", asked) as response:
            results = (await response.json())["results"]
        assert [(each["index"], each["document"]) for each in results] == [(2, {"text": "dddd"}), (3, {"text": "ccc"})]
    async with site.post("/v1/rerank", ASKED | {"top_n": 99}) as response:
        assert len((await response.json())["results"]) == 4


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"query": ""}, "invalid_request", "query"),
        ({"documents": []}, "invalid_request", "documents"),
        ({"documents": ["a", ""]}, "invalid_request", "documents"),
        ({"documents": [{"title": "a"}]}, "invalid_request", "documents"),
        ({"documents": [{"text": "a", "title": "b"}]}, "invalid_request", "documents"),
        ({"documents": ["a"] * 2049}, "invalid_request", "documents"),
        ({"documents": "a"}, "invalid_request", "documents"),
        ({"top_n": 0}, "invalid_request", "top_n"),
        ({"max_tokens_per_doc": 5}, "unsupported", "max_tokens_per_doc"),
        ({"rank_fields": ["title"]}, "unsupported", "rank_fields"),
    ],
)
async def test_what_is_wrong_is_named(site: Site, change: dict[str, Any], code: str, param: str | None) -> None:
    async with site.post("/v1/rerank", ASKED | change) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (400, code, param)


async def test_an_engine_that_cannot_says_so(site: Site) -> None:
    async def cannot(ticket: Ticket) -> AsyncIterator[Event]:
        yield Failure(
            "unsupported", "The ollama engine cannot do rerank: Ollama's API has no reranking.", 400, "rerank"
        )

    await site.add_node(script=cannot)
    async with site.post("/v1/rerank", ASKED) as response:
        error = (await response.json())["error"]
    assert (response.status, error["param"]) == (400, "rerank")
    assert "ollama" in error["message"]


async def test_an_engine_that_forgets_a_document_is_not_believed(site: Site) -> None:
    async def forgets(ticket: Ticket) -> AsyncIterator[Event]:
        yield Final(prompt_tokens=1, scores=[0.5])

    await site.add_node(script=forgets)
    async with site.post("/v1/rerank", ASKED) as response:
        assert response.status == 502


async def test_a_stranger_finds_no_such_model(site: Site, stranger: str) -> None:
    await site.add_node(script=lengths)
    async with site.post("/v1/rerank", ASKED, key=stranger) as response:
        assert response.status == 404
    viewer = await site.issue_key(site.tenant, permissions=["model.view"])
    async with site.post("/v1/rerank", ASKED, key=viewer) as response:
        assert response.status == 403
