"""Whole answers are compressed for clients that ask, when it pays; token streams never are."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import ollama
import openai
import pytest

from ollamamax.contract import Event, Final, Ticket
from ollamamax.contract.tables import MODELS
from ollamamax.gateway import compression
from tests.gateway.conftest import Site, publish_model
from tests.patience import until

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "many words " * 500}]}


async def _vectors(ticket: Ticket) -> AsyncIterator[Event]:
    yield Final(prompt_tokens=1, embeddings=[[n / 1000 for n in range(5000)] for _ in ticket.inference.inputs])


async def _raw(site: Site, path: str, body: dict[str, Any] | None, accepted: str | None) -> tuple[httpx.Headers, bytes]:
    """The body as it was on the wire."""
    headers = {"Authorization": f"Bearer {site.key}", **({"Accept-Encoding": accepted} if accepted else {})}
    async with httpx.AsyncClient(base_url=site.url) as client:
        client.headers.pop("Accept-Encoding")
        request = client.build_request("GET" if body is None else "POST", path, json=body, headers=headers)
        response = await client.send(request, stream=True)
        raw = b"".join([part async for part in response.aiter_raw()])
    return response.headers, raw


async def test_a_long_list_is_compressed_for_who_asks(site: Site) -> None:
    for number in range(20):
        publish_model(site.client, site.tenant, f"m{number}:latest")
    service = await site.gateway.start()
    await until(lambda: len(service.directory.items(MODELS)) == 21)
    plain_headers, plain = await _raw(site, "/api/tags", None, None)
    headers, packed = await _raw(site, "/api/tags", None, "gzip, deflate, br")
    assert "content-encoding" not in plain_headers
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) == len(packed) < len(plain) / 4
    assert gzip.decompress(packed) == plain
    assert headers["vary"] == plain_headers["vary"] == "accept-encoding"


async def test_a_short_answer_is_not(site: Site) -> None:
    for path in ("/v1/models", "/api/version"):
        headers, body = await _raw(site, path, None, "gzip")
        assert "content-encoding" not in headers
        assert json.loads(body)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat", "/v1/messages"])
async def test_streams_never_are_and_whole_answers_are(site: Site, path: str) -> None:
    await site.add_node()
    headers, body = await _raw(site, path, {**CHAT, "max_tokens": 9, "stream": True}, "gzip")
    assert "content-encoding" not in headers
    assert b"words" in body
    headers, body = await _raw(site, path, {**CHAT, "max_tokens": 9, "stream": False}, "gzip")
    assert headers["content-encoding"] == "gzip"
    assert b"many words" in gzip.decompress(body)


async def test_vectors_as_numbers_are_and_as_base64_are_not(site: Site) -> None:
    await site.add_node(script=_vectors)
    for shape, encoding in (("float", "gzip"), ("base64", None)):
        body = {"model": "echo", "input": ["a", "b"], "encoding_format": shape}
        headers, _ = await _raw(site, "/v1/embeddings", body, "gzip")
        assert headers.get("content-encoding") == encoding


async def test_the_official_clients_read_it(site: Site) -> None:
    await site.add_node(script=_vectors)
    told = ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})
    [vector] = (await told.embed(model="echo", input="a")).embeddings
    assert vector[:3] == [0, 0.001, 0.002]
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
    answer = await client.embeddings.with_raw_response.create(model="echo", input="a", encoding_format="float")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.parse().data[0].embedding) == 5000


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("*;q=0.1, gzip;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=x", False),
    ],
)
def test_what_a_client_accepts(accepted: str | None, wanted: bool) -> None:
    assert compression.wants_gzip(accepted) is wanted
