"""What a stranger without a key sends to the front door ends early, on every server, and others are answered meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ollamamax.contract import Event, Final, Ticket
from tests.gateway.conftest import Site, site
from tests.patience import LONG
from tests.processes.test_gateway import SERVERS, gateway
from tests.servers import free_port

__all__ = ["site"]

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MUCH = b"a" * (64 << 10)
SHORT = {
    "OLLAMAMAX_HEADER_TIMEOUT_SECONDS": "2",
    "OLLAMAMAX_BODY_TIMEOUT_SECONDS": "2",
    "OLLAMAMAX_MAX_BODY_BYTES": "1000000",
}
MOST_TAKEN = 16 << 20
"""What the sockets between two processes of one machine hold is part of it."""


def _forever(part: bytes) -> Iterator[bytes]:
    return itertools.repeat(part)


ENDLESS: dict[str, tuple[bytes, Callable[[], Iterator[bytes]]]] = {
    "a request line": (b"GET /", lambda: _forever(MUCH)),
    "one header": (GET + b"X: ", lambda: _forever(MUCH)),
    "one header's name": (GET, lambda: _forever(MUCH)),
    "headers": (GET, lambda: (b"X%d: y\r\n" % number for number in itertools.count())),
    "empty lines": (b"", lambda: _forever(b"\r\n" * 4096)),
    "a chunk's extension": (CHUNKED + b"1;", lambda: _forever(MUCH)),
    "a chunk's size": (CHUNKED, lambda: _forever(b"0" * 4096)),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", lambda: (b"X%d: y\r\n" % number for number in itertools.count())),
    "a trailer": (CHUNKED + b"1\r\nx\r\n0\r\nX: ", lambda: _forever(MUCH)),
    "a body that was refused": (CHUNKED, lambda: _forever(b"10000\r\n" + b"b" * 65536 + b"\r\n")),
    "a handshake": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nX: ", lambda: _forever(MUCH)),
}
HALF = {
    "nothing": b"",
    "a request line": b"GET /heal",
    "headers": GET + b"X: ",
    "a body": HEAD + b"Content-Length: 100\r\n\r\nabc",
    "a chunk": CHUNKED + b"ff\r\nabc",
    "a handshake": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "a second request": GET + b"\r\n" + GET,
}
SMUGGLED = {
    "both lengths": HEAD
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": HEAD + b"Content-Length: +1\r\n\r\na",
    "chunked and more": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 1\r\n\r\na",
}


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.sent = 0

    async def pour(self, parts: Iterator[bytes]) -> None:
        """Send until the server ends the connection or has taken more than it should."""
        with contextlib.suppress(OSError):
            for part in parts:
                self.writer.write(part)
                self.sent += len(part)
                await self.writer.drain()
                await asyncio.sleep(0)
                if self.sent > MOST_TAKEN:
                    return

    async def ended(self, seconds: float) -> bytes | None:
        """All that the server said until it ended the connection; ``None``: it did not."""
        said = b""
        try:
            async with asyncio.timeout(seconds):
                while part := await self.reader.read(1 << 16):
                    said += part
        except OSError:
            return said
        except TimeoutError:
            return None
        return said


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def _endless(port: int, what: str) -> str | None:
    start, parts = ENDLESS[what]
    async with client(port) as each:
        pouring = asyncio.create_task(each.pour(itertools.chain([start], parts())))
        said = await each.ended(30)
        pouring.cancel()
        if said is None or each.sent > MOST_TAKEN:
            return f"endless {what}: {each.sent} bytes were taken"
    return None


async def _half(port: int, what: str) -> str | None:
    async with client(port) as each:
        each.writer.write(HALF[what])
        said = await each.ended(30)
        # An answer is given only to what is a whole request as far as it goes: there is no key, and a first one was complete.
        if said is None or (said and what not in {"a body", "a chunk", "a second request"}):
            return f"half of {what}: {said!r}"
    return None


async def _trickled(port: int) -> str | None:
    """A byte now and then is not progress."""
    async with client(port) as each:
        each.writer.write(GET + b"X: ")

        async def drip() -> None:
            while True:
                each.writer.write(b"a")
                await asyncio.sleep(0.2)

        dripping = asyncio.create_task(drip())
        said = await each.ended(30)
        dripping.cancel()
        return None if said is not None else "a header that comes byte by byte was kept"


async def _smuggled(port: int, what: str) -> str | None:
    async with client(port) as each:
        each.writer.write(SMUGGLED[what])
        said = await each.ended(30)
        return (
            None if said is not None and said.count(b"HTTP/1.1 ") == 1 and said[9:12] == b"400" else f"{what}: {said!r}"
        )


async def _pipelined(port: int) -> str | None:
    """A flood behind one another is answered at the pace at which it is read, or ended."""
    async with client(port) as each:
        pouring = asyncio.create_task(each.pour(_forever(GET.replace(b"healthz", b"api/tags") + b"\r\n")))
        await asyncio.wait({pouring}, timeout=3)
        pouring.cancel()
        return None if each.sent <= MOST_TAKEN else f"{each.sent} bytes of pipelined requests were taken"


async def _healthy(port: int, until: asyncio.Event) -> None:
    while not until.is_set():
        async with asyncio.timeout(LONG), client(port) as each:
            each.writer.write(GET + b"Connection: close\r\n\r\n")
            assert (await each.reader.readline()).split()[1] == b"200"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("server", SERVERS)
async def test_what_does_not_end_is_ended_and_others_are_answered(site: Site, tmp_path: Path, server: str) -> None:
    port = free_port()
    async with gateway(site, tmp_path, server, port, **SHORT) as process:
        memory = psutil.Process(process.pid).memory_info().rss
        over = asyncio.Event()
        others = asyncio.create_task(_healthy(port, over))
        wrong = await asyncio.gather(
            *(_endless(port, what) for what in ENDLESS),
            *(_half(port, what) for what in HALF),
            *(_smuggled(port, what) for what in SMUGGLED),
            _trickled(port),
            _pipelined(port),
        )
        over.set()
        await others
        assert [each for each in wrong if each] == []
        assert psutil.Process(process.pid).memory_info().rss - memory < 64 << 20


@pytest.mark.parametrize("server", SERVERS)
async def test_too_large_a_head_is_told_so(site: Site, tmp_path: Path, server: str) -> None:
    port = free_port()
    async with gateway(site, tmp_path, server, port, OLLAMAMAX_MAX_HEADERS="20", OLLAMAMAX_MAX_HEADER_BYTES="8192"):
        for head, status in (
            (b"".join(b"X%d: y\r\n" % number for number in range(19)), b"200"),
            (b"".join(b"X%d: y\r\n" % number for number in range(20)), b"431"),
            (b"X: " + b"y" * 8000 + b"\r\n", b"200"),
            (b"X: " + b"y" * 9000 + b"\r\n", b"431"),
        ):
            async with asyncio.timeout(LONG), client(port) as each:
                each.writer.write(GET + head + b"\r\n")
                assert (await each.reader.readline()).split()[1] == status, head[:20]


async def _status(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readline()).split()[1]
    except ConnectionResetError:
        return b"reset"


@pytest.mark.parametrize("server", SERVERS)
async def test_an_address_has_so_many_connections(site: Site, tmp_path: Path, server: str) -> None:
    port = free_port()
    async with gateway(site, tmp_path, server, port, OLLAMAMAX_CONNECTIONS_PER_ADDRESS="4"):
        async with contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(client(port)) for _ in range(4 * 16 + 8)]
            for each in opened:
                each.writer.write(GET + b"\r\n")
            said = [await asyncio.wait_for(_status(each.reader), LONG) for each in opened]
            # One that is over the bound is told so and closed; a client that writes meanwhile may see a reset instead.
            assert b"200" in said
            assert {b"429", b"reset"} & set(said)
            assert set(said) <= {b"200", b"429", b"reset"}
        async with asyncio.timeout(LONG):
            while True:  # those that left make room
                async with client(port) as each:
                    each.writer.write(GET + b"\r\n")
                    if b" 200 " in await each.reader.readline():
                        return


@pytest.mark.parametrize("server", SERVERS)
async def test_behind_a_proxy_the_address_is_the_one_it_names(site: Site, tmp_path: Path, server: str) -> None:
    """The proxy's own connections are not limited; one client's requests under way are."""
    port = free_port()
    proxied = {"OLLAMAMAX_TLS_PROXY": "1", "OLLAMAMAX_CONNECTIONS_PER_ADDRESS": "4"}
    waiting = HEAD + b"Authorization: Bearer " + site.key.encode() + b"\r\nContent-Type: application/json\r\n"
    body = b'{"model":"echo","messages":[{"role":"user","content":"x"}]}'
    held = asyncio.Event()

    async def holds(ticket: Ticket) -> AsyncIterator[Event]:
        await held.wait()
        yield Final("stop", prompt_tokens=1, completion_tokens=0)

    await site.add_node(capacity=64, script=holds)
    async with gateway(site, tmp_path, server, port, **proxied), contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client(port)) for _ in range(80)]
        for number, each in enumerate(opened):
            address = b"198.51.100.%d" % (number % 10)
            each.writer.write(
                waiting + b"X-Forwarded-For: %b\r\nContent-Length: %d\r\n\r\n%b" % (address, len(body), body)
            )
        answered = [asyncio.create_task(each.reader.readline()) for each in opened]
        async with asyncio.timeout(LONG):
            while len(done := [each for each in answered if each.done()]) < 40:
                await asyncio.sleep(0.05)
        assert {each.result().split()[1] for each in done} == {b"429"}
        assert len(done) == 40
        held.set()
        async with asyncio.timeout(LONG):
            said = [line.split()[1] for line in await asyncio.gather(*answered)]
        assert (said.count(b"200"), said.count(b"429")) == (40, 40)
