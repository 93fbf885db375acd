"""Files that the kernel sends: whole, in ranges, to clients that read slowly, leave, or ask for the next thing at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from starlette.requests import Request

from ollamamax.blobs import reading
from ollamamax.blobs.disk import DiskStore
from ollamamax.blobs.file_message import FILE
from tests.gateway.conftest import listening
from tests.patience import LONG, until
from tests.servers import free_port

DATA = os.urandom(1 << 20) * 24
"""24 MiB: more than the buffers of a connection hold."""


class Application:
    """Answers with the blob ``x`` of a store; ``understood`` says whether the server could send it as a file."""

    def __init__(self, root: Path) -> None:
        self.store = DiskStore(root)
        self.understood: set[bool] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.understood.add(FILE in scope.get("extensions", ()))
        response = await reading.response(self.store, "x", Request(scope).scope, etag="x")
        await response(scope, receive, send)


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[int, Application]]:
    (tmp_path / "x").write_bytes(DATA)
    port, application = free_port(), Application(tmp_path)
    async with listening(application, port):
        yield port, application


async def ask(port: int, *requests: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("".join(requests).encode())
    return reader, writer


def get(headers: str = "", method: str = "GET", version: str = "1.1") -> str:
    return f"{method} / HTTP/{version}\r\nHost: x\r\n{headers}\r\n"


async def answer(reader: asyncio.StreamReader, *, body: bool = True) -> tuple[int, bytes]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONG)).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
    return int(head.split()[1]), await asyncio.wait_for(reader.readexactly(length), LONG) if body else b""


async def test_each_answer_is_whole_though_the_next_is_asked_for_at_once(place: tuple[int, Application]) -> None:
    port, application = place
    reader, writer = await ask(
        port, get(), get("Range: bytes=5-9\r\n"), get(method="HEAD"), get("Range: bytes=-3\r\n"), get()
    )
    assert await answer(reader) == (200, DATA)
    assert await answer(reader) == (206, DATA[5:10])
    assert await answer(reader, body=False) == (200, b"")
    assert await answer(reader) == (206, DATA[-3:])
    assert await answer(reader) == (200, DATA)
    writer.close()
    reader, writer = await ask(port, get(version="1.0"))
    assert await answer(reader) == (200, DATA)
    assert await reader.read() == b"", "HTTP/1.0 ends its connection"
    writer.close()
    assert application.understood == {True}


async def test_who_reads_slowly_holds_nobody_up_and_who_leaves_leaves_nothing(place: tuple[int, Application]) -> None:
    port, _ = place
    open_before = psutil.Process().num_fds()
    slow = [await ask(port, get()) for _ in range(40)]
    for reader, _ in slow:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONG)
    reader, writer = await ask(port, get("Connection: close\r\n"))
    assert await answer(reader) == (200, DATA), "though forty do not read on"
    writer.close()
    assert (await asyncio.wait_for(slow[0][0].readexactly(len(DATA)), LONG)) == DATA
    for _, each in slow:
        each.transport.abort()
    await until(lambda: psutil.Process().num_fds() <= open_before)


async def test_a_file_that_is_shorter_than_its_head_says_ends_the_connection(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    port, store = free_port(), DiskStore(tmp_path)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        response = await reading.response(store, "x", scope)
        os.truncate(tmp_path / "x", 100)
        await response(scope, receive, send)

    async with listening(application, port):
        reader, writer = await ask(port, get())
        with pytest.raises(asyncio.IncompleteReadError) as broken:
            await answer(reader)
        assert broken.value.partial == DATA[:100]
        writer.close()
