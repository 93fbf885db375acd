"""Every answer of our Ollama API, streamed lines and errors too, against the schemas that Ollama publishes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ollamamax.gateway.ollama import show
from ollamamax.gateway.routes import OLLAMA, ROUTES
from tests.clients.conftest import anything
from tests.gateway import published, scripts
from tests.gateway.conftest import Site

SAY = [{"role": "user", "content": "one two"}]
TOOL = {"type": "function", "function": {"name": "sum", "description": "d", "parameters": {"type": "object"}}}
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("POST /api/generate", {"prompt": "one two"}),
    ("POST /api/generate", {}),
    ("POST /api/generate", {"keep_alive": 0}),
    ("POST /api/generate", {"prompt": "x", "format": "json", "options": {"seed": 1, "num_predict": 2}}),
    ("POST /api/chat", {"messages": SAY}),
    ("POST /api/chat", {"messages": []}),
    ("POST /api/chat", {"messages": SAY, "tools": [TOOL]}),
    ("POST /api/chat", {"messages": SAY, "think": True}),
    ("POST /api/embed", {"input": ["a", "b"]}),
    ("POST /api/show", {}),
    ("POST /api/show", {"verbose": True}),
    ("GET /api/tags", {}),
    ("GET /api/ps", {}),
    ("GET /api/version", {}),
]
UNPUBLISHED = {"/api/embeddings"}
"""Ollama still serves it and no longer describes it."""


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> None:
    show._kept.clear()


async def _ask(site: Site, route: str, body: dict[str, Any], key: str | None = None) -> tuple[int, str, str]:
    method, path = route.split(" ")
    headers = {"Authorization": f"Bearer {key or site.key}"}
    sent = {"model": "echo", **body} if method == "POST" else None
    async with site.http.request(method, site.url + path, headers=headers, json=sent) as response:
        return response.status, response.content_type, await response.text()


@pytest.mark.parametrize(("route", "body"), GOOD)
async def test_whole_answers(site: Site, route: str, body: dict[str, Any]) -> None:
    await site.add_node(script=anything)
    if route.startswith("POST"):
        body = {**body, **({"stream": False} if "line" in published.DOCUMENT["paths"][route] else {})}
    status, kind, text = await _ask(site, route, body)
    assert (status, kind) == (200, "application/json")
    published.check(route, json.loads(text))


@pytest.mark.parametrize(("route", "body"), [(r, b) for r, b in GOOD if "line" in published.DOCUMENT["paths"][r]])
async def test_every_line_of_a_stream(site: Site, route: str, body: dict[str, Any]) -> None:
    await site.add_node(script=anything)
    status, _, text = await _ask(site, route, body)
    assert status == 200
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        published.check(route, line, line=True)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


async def test_probabilities_thoughts_and_tool_calls(site: Site) -> None:
    for script, more in (
        (scripts.is_sure, {"logprobs": True, "top_logprobs": 1}),
        (scripts.thinks_aloud, {"think": True, "tools": [TOOL]}),
    ):
        for node in site.nodes:
            await node.kill()
        site.nodes.clear()
        await site.add_node(script=script)
        for stream in (False, True):
            _, _, text = await _ask(site, "POST /api/chat", {"messages": SAY, "stream": stream, **more})
            for line in text.splitlines():
                published.check("POST /api/chat", json.loads(line), line=stream)
        if script is scripts.is_sure:
            for stream in (False, True):
                _, _, text = await _ask(site, "POST /api/generate", {"prompt": "x", "stream": stream, **more})
                for line in text.splitlines():
                    published.check("POST /api/generate", json.loads(line), line=stream)


async def test_errors(site: Site) -> None:
    chat = {"messages": SAY}
    cases: list[tuple[int, str, dict[str, Any], str | None]] = [
        (503, "POST /api/chat", chat, None),
        (401, "POST /api/chat", chat, "omx_wrong"),
        (401, "GET /api/tags", {}, "omx_wrong"),
        (404, "POST /api/generate", {"model": "absent", "prompt": "x"}, None),
        (404, "POST /api/show", {"model": "absent"}, None),
        (404, "GET /api/nothing", {}, None),
        (405, "GET /api/chat", {}, None),
        (400, "POST /api/chat", {"messages": 3}, None),
        (400, "POST /api/embed", {"input": 3}, None),
        (413, "POST /api/generate", {"prompt": "x" * 200_000}, None),
    ]
    for expected, route, body, key in cases:
        status, kind, text = await _ask(site, route, body, key)
        assert (status, kind) == (expected, "application/json"), route
        published.check_error(json.loads(text))


async def test_an_error_in_the_middle_of_a_stream(site: Site) -> None:
    await site.add_node(script=anything)
    _, _, text = await _ask(site, "POST /api/chat", {"messages": [{"role": "user", "content": "breaks late"}]})
    *lines, last = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        published.check("POST /api/chat", line, line=True)
    published.check_error(last)


def test_no_route_is_left_out() -> None:
    ours = {path for path, route in ROUTES.items() if route.protocol is OLLAMA}
    assert {route.split(" ")[1] for route, _ in GOOD} == ours - UNPUBLISHED


def test_a_wrong_answer_is_found() -> None:
    good = {"models": [], "x": 1}
    with pytest.raises(jsonschema.ValidationError, match="'x' was unexpected"):
        published.check("GET /api/tags", good)
    with pytest.raises(jsonschema.ValidationError, match="is not a 'date-time'"):
        published.check(
            "POST /api/chat", {"model": "m", "created_at": "yesterday", "message": {}, "done": False}, line=True
        )
