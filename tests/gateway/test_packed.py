"""Bodies that come compressed, in another charset, or behind a byte order mark."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamamax.gateway.http import header, read_body
from ollamamax.gateway.packed import unpacked
from ollamamax.kernel import errors
from tests.gateway.conftest import Site
from tests.gateway.test_fallbacks import SCRIPTS, add_model, add_node

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "né à Zoë"}], "stream": False}
LIMIT = 1 << 20


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": _raw,
}


def read(encoding: str, parts: list[bytes], limit: int = LIMIT, content_type: str = "") -> bytes:
    """What an endpoint reads of a body that comes in ``parts``."""
    left = list(parts)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [(b"content-encoding", encoding.encode()), (b"content-type", content_type.encode())]
    scope, plain = unpacked({"headers": [*headers, (b"content-length", b"1")]}, receive)
    if encoding:
        assert header(scope, b"content-length") is None
    return asyncio.run(read_body(scope, plain, limit))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({min(place, len(data)) for place in places})
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=5000), st.sampled_from(list(PACKED)), st.lists(st.integers(0, 5000), max_size=5), st.booleans()
)
def test_whatever_was_packed_is_read_however_it_is_cut(data: bytes, kind: str, places: list[int], large: bool) -> None:
    data *= 100 if large else 1
    assert read(kind, cut(PACKED[kind](data), places)) == data


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(PACKED)), st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 255))
def test_what_was_broken_on_the_way_is_the_clients_fault(kind: str, data: bytes, place: int, byte: int) -> None:
    packed = bytearray(PACKED[kind](data))
    packed[place % len(packed)] ^= byte
    with contextlib.suppress(errors.InvalidRequest):  # and nothing else
        read(kind, [bytes(packed)])
    with pytest.raises(errors.InvalidRequest, match="content encoding"):
        read(kind, [PACKED[kind](b"x" * 100)[:-5]])
    with pytest.raises(errors.InvalidRequest, match="content encoding"):
        read(kind, [PACKED[kind](data), b"more"])


CHARSETS = ["utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be", "latin1", "windows-1252"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CHARSETS), st.sampled_from(["", *PACKED]), st.binary(max_size=50), st.lists(st.integers(0, 50)))
def test_what_is_not_in_the_charset_that_it_names_is_the_clients_fault(
    charset: str, kind: str, data: bytes, places: list[int]
) -> None:
    packed = PACKED[kind](data) if kind else data
    with contextlib.suppress(errors.InvalidRequest):  # and nothing else
        read(kind, cut(packed, places), content_type=f"application/json; charset={charset}").decode()
    with pytest.raises(errors.InvalidRequest, match="charset"):
        read("", [b"{}{}"], content_type="application/json; charset=utf-16")


def test_a_bomb_is_too_large_long_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    with pytest.raises(errors.TooLarge):
        read("gzip", [bomb])


def test_what_packs_nothing_for_ever_is_refused() -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    empty = [packer.compress(b"")] + [packer.flush(zlib.Z_FULL_FLUSH) + b"\x00\x00\x00\xff\xff" * 1000] * 20
    with pytest.raises(errors.InvalidRequest, match="holds nothing"):
        read("gzip", [*empty, b""])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "nonsense"])
async def test_another_encoding_is_refused_with_those_that_are_read(site: Site, encoding: str) -> None:
    headers = {"content-encoding": encoding, "authorization": f"Bearer {site.key}"}
    async with site.http.post(f"{site.url}/v1/chat/completions", data=b"xx", headers=headers) as response:
        assert response.status == 415
        assert response.headers["accept-encoding"] == "gzip, deflate"
        assert encoding in (await response.json())["error"]["message"]


FORMS: list[tuple[dict[str, str], bytes]] = [
    ({"content-encoding": "gzip"}, gzip.compress(json.dumps(ASK).encode())),
    ({"content-encoding": "identity"}, json.dumps(ASK).encode()),
    ({}, json.dumps(ASK).encode()),
    ({"content-type": ""}, json.dumps(ASK).encode()),
    ({"content-type": "text/plain"}, json.dumps(ASK, ensure_ascii=False).encode()),
    ({"content-type": "application/json; charset=UTF-8"}, json.dumps(ASK, ensure_ascii=False).encode()),
    ({}, b"\xef\xbb\xbf" + json.dumps(ASK).encode()),
    ({"content-type": "application/json;charset=iso-8859-1"}, json.dumps(ASK, ensure_ascii=False).encode("latin-1")),
    ({"content-type": 'application/json; charset="utf-16"'}, json.dumps(ASK, ensure_ascii=False).encode("utf-16")),
]


@pytest.mark.parametrize(("headers", "body"), FORMS, ids=[f"{n}" for n in range(len(FORMS))])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
async def test_every_form_of_a_body_is_understood(site: Site, path: str, headers: dict[str, str], body: bytes) -> None:
    node = await site.add_node()
    own = {"authorization": f"Bearer {site.key}"}
    async with site.http.post(site.url + path, data=body, headers={**own, **headers}) as response:
        assert response.status == 200, await response.text()
    assert node.tickets[0].inference.messages[0]["content"] == "né à Zoë"


async def test_a_packed_request_is_asked_again_of_the_model_that_stands_in(site: Site) -> None:
    await add_model(site, "first", ("second", "engine_error"))
    await add_model(site, "second")
    await add_node(site, "first", script=SCRIPTS["engine_error"])
    await add_node(site, "second")
    for body, encoding in ((gzip.compress, "gzip"), (lambda text: b"\xef\xbb\xbf" + text, "identity")):
        headers = {"authorization": f"Bearer {site.key}", "content-encoding": encoding}
        packed = body(json.dumps({**ASK, "model": "first"}).encode())
        async with site.http.post(f"{site.url}/v1/chat/completions", data=packed, headers=headers) as response:
            assert response.status == 200
            assert (await response.json())["model"] == "second:latest"
