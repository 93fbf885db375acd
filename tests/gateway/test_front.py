"""HTTP as clients put it: preflights, HEAD, paths joined badly, methods that are not there, old versions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.gateway import paths
from ollamamax.gateway.cors import Origins
from ollamamax.gateway.routes import ROUTES
from tests.gateway.conftest import Site

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two"}]}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, X-Stainless-OS"}
STATIC = [path for path in ROUTES if "{" not in path]


# Origins


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("https://localhost:3000", True),
        ("http://127.0.0.1:8080", True),
        ("http://0.0.0.0:1", True),
        ("app://obsidian.md", True),
        ("tauri://localhost", True),
        ("vscode-webview://0f1a", True),
        ("https://chat.example", True),
        ("HTTPS://Chat.Example", True),
        ("https://a.b.wild.example", True),
        ("chrome-extension://abcdef", True),
        ("https://chat.example.evil", False),
        ("http://chat.example", False),
        ("https://wild.example", False),
        ("https://evil/.wild.example", False),
        ("http://localhost.evil", False),
        ("http://localhost:1/evil", False),
        ("null", False),
        ("", False),
    ],
)
def test_origins_are_allowed_as_ollama_allows_them(origin: str, allowed: bool) -> None:
    assert Origins(["https://chat.example", "https://*.wild.example", "chrome-extension://*"]).allow(origin) is allowed
    assert Origins(["*"]).allow(origin)


async def test_a_preflight_needs_no_key_and_names_what_may_be_sent(site: Site) -> None:
    for path in [*STATIC, "/", "/v1/nothing"]:
        headers = {"origin": "http://localhost:3000", **PREFLIGHT}
        async with site.http.options(site.url + path, headers=headers) as response:
            assert response.status == 204
            assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
            assert response.headers["access-control-allow-headers"] == "authorization, X-Stainless-OS"
            assert "POST" in response.headers["access-control-allow-methods"]
        async with site.http.options(site.url + path, headers={**headers, "origin": "http://evil.example"}) as response:
            assert response.status == 204
            assert "access-control-allow-origin" not in response.headers


async def test_a_page_may_read_answers_and_errors_alike(site: Site) -> None:
    await site.add_node()
    origin = {"origin": "http://localhost:3000"}
    for body, status in ((ASK, 200), ({"model": 3}, 400), ({**ASK, "stream": True}, 200)):
        async with site.post("/v1/chat/completions", body, headers=origin) as response:
            assert response.status == status
            assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
            assert response.headers["access-control-expose-headers"] == "*"
            assert "access-control-allow-credentials" not in response.headers
    async with site.http.get(f"{site.url}/v1/models", headers=origin) as response:
        assert response.status == 401
        assert response.headers["access-control-allow-origin"] == "http://localhost:3000"


# Methods


async def test_head_is_answered_where_get_is_and_tells_nothing_to_nobody(site: Site) -> None:
    for path in ("/", "/api/tags", "/api/version", "/api/ps", "/v1/models"):
        async with site.http.head(site.url + path) as response:
            assert response.status == 200, path
            assert await response.read() == b""
    async with site.http.head(f"{site.url}/v1/models/echo") as response:
        assert response.status == 401
    for path, status in (("/v1/models/echo", 200), ("/v1/models/other", 404), ("/v1/models", 200), ("/api/tags", 200)):
        async with site.http.head(site.url + path, headers={"authorization": f"Bearer {site.key}"}) as response:
            assert (response.status, await response.read()) == (status, b"")
    async with site.http.head(f"{site.url}/v1/models", headers={"authorization": "Bearer omx_no"}) as response:
        assert response.status == 401


async def test_a_wrong_method_is_told_the_right_ones(site: Site) -> None:
    for path in STATIC:
        method = ROUTES[path].method
        wrong = "GET" if method == "POST" else "POST"
        async with site.http.request(wrong, site.url + path) as response:
            assert response.status == 405, path
            assert method in response.headers["allow"].split(", ")
            assert response.content_type == "application/json"
        async with site.http.options(site.url + path) as response:
            assert response.status == 204
            assert response.headers["allow"].split(", ")[0] == method


# Paths


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("//v1/models", 200),
        ("/v1//models", 200),
        ("/v1/models/", 200),
        ("///api///tags//", 200),
        ("//v1//models/echo", 200),
        ("/v1/models/echo/", 200),
        ("/v1/models//data/models/My-Model", 404),
    ],
)
async def test_slashes_too_many_do_no_harm(site: Site, path: str, status: int) -> None:
    async with site.get(path) as response:
        assert response.status == status
        if status == 404:
            assert "'/data/models/My-Model'" in (await response.json())["error"]["message"]


MEANT = [
    ("/chat/completions", "/v1/chat/completions"),
    ("/models", "/v1/models"),
    ("/messages", "/v1/messages"),
    ("/v1/v1/chat/completions", "/v1/chat/completions"),
    ("/openai/v1/embeddings", "/v1/embeddings"),
    ("/v1/api/chat", "/api/chat"),
    ("/v1/tags", "/api/tags"),
    ("/api/chat/completions", "/v1/chat/completions"),
    ("/v1/chat/completion", "/v1/chat/completions"),
    ("/api/generat", "/api/generate"),
    ("/generate", "/api/generate"),
]


@pytest.mark.parametrize(("path", "meant"), MEANT)
async def test_a_path_put_together_wrongly_is_explained_in_json(site: Site, path: str, meant: str) -> None:
    async with site.post(path, ASK) as response:
        assert (response.status, response.content_type) == (404, "application/json")
        assert f"Did you mean {meant}?" in await response.text()


async def test_the_error_of_an_unknown_path_has_the_form_of_the_api_that_was_meant(site: Site) -> None:
    async with site.post("/messages", {}) as response:
        assert (await response.json())["type"] == "error"
    async with site.post("/api/nothing", {}) as response:
        assert await response.json() == {"error": "There is no /api/nothing here."}
    for base in ("/v1", "/api/", "/v1/" + "x" * 3000):
        async with site.get(base) as response:
            assert response.status == 404
            assert len(await response.text()) < 500


@given(st.text(alphabet="/v1apichatmodels{}.", max_size=60))
def test_mending_a_path_is_done_once_and_never_leaves_the_api(path: str) -> None:
    path = "/" + path
    mended = paths.mended(path)
    assert paths.mended(mended) == mended
    assert mended == path or mended == "/" or paths.is_ours(mended)
    meant = paths.suggested(path, ROUTES)
    assert meant is None or meant in ROUTES
    if path.startswith("/api/v1/"):
        assert (mended, meant) == (path, None)


# HTTP/1.0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_of_http_1_0_hears_a_stream_to_its_end_without_chunks(site: Site, stream: bool) -> None:
    await site.add_node()
    body = json.dumps({**ASK, "stream": stream}).encode()
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
        % (site.key.encode(), len(body))
        + body
    )
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    if stream:
        assert answer.endswith(b"data: [DONE]\n\n")
        assert answer.startswith(b"data: {")
    else:
        assert json.loads(answer)["choices"][0]["message"]["content"] == "one two"
