"""POST and answers that are read as they come, against servers that write what they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest

from cluster.engines import poster as module
from cluster.engines.poster import NotReached, Poster
from tests.patience import LONG
from tests.servers import free_port

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
Says = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """``heads`` are those of the requests it got; ``says`` answers each."""

    url: str = ""
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(says: Says) -> AsyncIterator[Server]:
    found = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
                found.heads.append(head)
                found.bodies.append(await reader.readexactly(length))
                await says(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat?x=1"
    async with server:
        yield found


def writes(*parts: bytes, close: bool = False) -> Says:
    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.005)
        if close:
            writer.close()
            raise ConnectionError

    return says


async def ask(poster: Poster, server: Server, body: bytes = b"{}") -> tuple[int, bytes]:
    async with poster.post(server.url, body, {}) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize(
    ("parts", "close", "body"),
    [
        ([WHOLE], False, b"hello"),
        ([WHOLE[:20], WHOLE[20:41], WHOLE[41:]], False, b"hello"),
        ([HEAD, b"3\r\nhel\r\n", b"2\r", b"\nlo\r\n0\r\n", b"\r\n"], False, b"hello"),
        ([HEAD + b"3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"], False, b"hello"),
        ([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"], True, b"hello"),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"], True, b"hello"),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE], False, b"hello"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], False, b""),
    ],
)
async def test_answers_of_every_form_are_read_whole(parts: list[bytes], close: bool, body: bytes) -> None:
    async with serving(writes(*parts, close=close)) as server:
        with closing(Poster()) as poster:
            for _ in range(2):
                assert await ask(poster, server) == (200, body)


async def test_parts_are_there_as_they_come_and_what_came_together_is_one() -> None:
    go_on = asyncio.Event()

    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"1\r\na\r\n1\r\nb\r\n")
        await go_on.wait()
        writer.write(b"1\r\nc\r\n0\r\n\r\n")

    async with serving(says) as server:
        with closing(Poster()) as poster:
            async with poster.post(server.url, b"{}", {}) as answer:
                assert await answer.part() == b"ab"
                go_on.set()
                assert await answer.part() == b"c"
                assert await answer.part() == b""
                assert answer.reusable


async def test_the_request_is_what_was_asked_and_no_header_ends_early() -> None:
    async with serving(writes(WHOLE)) as server:
        with closing(Poster({"Authorization": "Bearer k"})) as poster:
            async with poster.post(server.url, b'{"a": 1}', {"traceparent": "00-1"}):
                pass
            with pytest.raises(ValueError, match="end of a line"):
                async with poster.post(server.url, b"{}", {"x": "1\r\ny: 2"}):
                    pass
        with closing(Poster()) as poster:
            named = server.url.replace("//", "//some%40one:secret@")
            async with poster.post(named, b"{}", {}):
                pass
    first, second = server.heads
    assert first.startswith("POST /v1/chat?x=1 HTTP/1.1\r\n")
    for line in ("Authorization: Bearer k", "traceparent: 00-1", "Content-Type: application/json", "Content-Length: 8"):
        assert f"\r\n{line}\r\n" in first
    assert server.bodies[0] == b'{"a": 1}'
    assert "Authorization: Basic c29tZUBvbmU6c2VjcmV0\r\n" in second
    assert "@" not in second


async def test_connections_are_kept_or_not() -> None:
    async with serving(writes(WHOLE)) as server:
        with closing(Poster()) as poster:
            for _ in range(5):
                await ask(poster, server)
            assert server.connections == 1
            await asyncio.gather(*(ask(poster, server) for _ in range(10)))
            assert server.connections == 10
    async with serving(writes(WHOLE)) as server:
        with closing(Poster(reuse=False)) as poster:
            for _ in range(3):
                await ask(poster, server)
            assert server.connections == 3
            assert "Connection: close" in server.heads[0]


async def test_a_kept_connection_that_the_server_closed_is_no_failure() -> None:
    async with serving(writes(WHOLE, close=True)) as server:
        with closing(Poster()) as poster:
            for _ in range(3):
                assert await ask(poster, server) == (200, b"hello")
            # It is closed just as the request is sent.
            for kept in poster._idle.values():
                for connection in kept:
                    connection.closed = False
            assert await ask(poster, server) == (200, b"hello")


@pytest.mark.parametrize(
    "parts", [[], [b"HTTP/1.1 200 OK\r\nContent-"], [HEAD + b"5\r\nhel"], [WHOLE[:-2]], [b"220 mail.example ESMTP\r\n"]]
)
async def test_what_breaks_off_or_is_no_answer_is_an_error(parts: list[bytes]) -> None:
    async with serving(writes(*parts, close=True)) as server:
        with closing(Poster()) as poster, pytest.raises(ConnectionError):
            await ask(poster, server)


async def test_leaving_early_closes_the_connection_at_once() -> None:
    gone = asyncio.Event()

    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"1\r\na\r\n")
        try:
            await reader.read()
        finally:
            gone.set()

    async with serving(says) as server:
        with closing(Poster()) as poster:
            async with poster.post(server.url, b"{}", {}) as answer:
                await answer.part()
            await asyncio.wait_for(gone.wait(), LONG)


async def test_a_reader_that_pauses_lets_the_server_wait() -> None:
    written = 0

    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(HEAD)
        for _number in range(1000):
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            written += 65536
        writer.write(b"0\r\n\r\n")

    async with serving(says) as server:
        with closing(Poster()) as poster:
            async with poster.post(server.url, b"{}", {}) as answer:
                await asyncio.sleep(0.5)
                assert written < 20 << 20
                assert len(await answer.read()) == 1000 * 65536


async def test_a_connection_that_was_paused_is_read_again_for_the_next_request() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n" + b"x" * 600_000
    async with serving(writes(body)) as server:
        with closing(Poster()) as poster:
            async with poster.post(server.url, b"{}", {}) as answer:
                while not answer.reusable:
                    await answer.part()
            assert await ask(poster, server) == (200, b"x" * 600_000)
            assert server.connections == 1


async def test_silence_is_counted_from_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.5)

    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _part in range(4):
            await asyncio.sleep(0.3)
            writer.write(b"2\r\nhi\r\n")
        await asyncio.sleep(LONG)

    async with serving(says) as server:
        with closing(Poster()) as poster:
            async with poster.post(server.url, b"{}", {}) as answer:
                began = asyncio.get_running_loop().time()
                assert [await answer.part() for _ in range(4)] == [b"hi"] * 4
                heard = asyncio.get_running_loop().time()
                assert heard - began > 2 * module.SILENT_SECONDS
                with pytest.raises(TimeoutError):
                    await answer.part()
                assert asyncio.get_running_loop().time() - heard >= module.SILENT_SECONDS - 0.05


async def test_silence_and_a_closed_port_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.2)

    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await asyncio.sleep(5)

    async with serving(says) as server:
        with closing(Poster()) as poster, pytest.raises(TimeoutError):
            await ask(poster, server)
    with closing(Poster()) as poster, pytest.raises(NotReached, match=r"refused|Connect"):
        await ask(poster, Server(url=f"http://127.0.0.1:{free_port()}/"))
