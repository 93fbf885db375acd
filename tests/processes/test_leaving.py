"""A process that is told to stop loses no request: it says so first, answers what comes, and closes what rests."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import signal
import socket
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.contract import Delta, Event, Final, Ticket
from ollamamax.processes.door.connections import Connections
from ollamamax.processes.door.meter import WireBounds
from ollamamax.processes.door.on_uvicorn import Door, protocols
from ollamamax.processes.leaving import Leaving, Stage
from ollamamax.processes.uvicorn_server import Server, begin_no_handshake
from tests.gateway.conftest import Site, site
from tests.patience import LONG, until
from tests.processes.test_gateway import ASK, SERVERS, _listens, gateway
from tests.servers import free_port

__all__ = ["site"]

ORDER = list(Stage)
SEEN = st.tuples(st.floats(0.01, 3), st.integers(0, 3), st.integers(0, 2))
"""Seconds that pass, connections that are open then, and how many came meanwhile."""


@given(announce=st.integers(0, 15), grace=st.integers(16, 30), ticks=st.lists(SEEN, max_size=60))
def test_a_process_leaves_in_order_and_in_time(announce: int, grace: int, ticks: list[tuple[float, int, int]]) -> None:
    leaving = Leaving(announce, grace)
    assert leaving.stage(0, 0, 0) is Stage.SERVING
    leaving.begin(0)
    now, seen, stage, alone = 0.0, 0, Stage.ANNOUNCING, 0.0
    for seconds, connected, came in ticks:
        now, seen, before = now + seconds, seen + came, stage
        stage = leaving.stage(now, connected, seen)
        alone = alone + seconds if not connected and not came else 0.0
        assert ORDER.index(stage) >= ORDER.index(before), "never back"
        assert (stage is Stage.OVER) >= (now >= grace)
        if stage is Stage.ANNOUNCING:
            assert now < announce
        if before is Stage.ANNOUNCING and stage is Stage.CLOSING:
            assert now >= announce or alone >= announce / 5, "somebody may still come"
        if stage is Stage.OVER and now < grace:
            assert before in (Stage.CLOSING, Stage.OVER), (
                "the port is closed, and who waited there is in, before it ends"
            )
            assert not connected
        if stage is Stage.OVER:
            return


@given(announce=st.integers(0, 15), begun=st.floats(0, 100), rests=st.floats(0, 100), now=st.floats(0, 200))
def test_a_connection_that_rests_is_answered_for_a_while(announce: int, begun: float, rests: float, now: float) -> None:
    leaving = Leaving(announce, 20)
    assert not leaving.may_close(now, rests), "nobody told the process to stop"
    leaving.begin(begun)
    assert leaving.may_close(now, rests) == (now - begun >= announce and now - rests >= announce)


class Clients:
    """Simple clients that never try again: each keeps its connection until an answer says that it ends."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.headers = port, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.answered = 0
        self.lost: list[str] = []
        self._over = threading.Event()

    @contextlib.asynccontextmanager
    async def at_work(self, count: int) -> AsyncIterator[None]:
        with ThreadPoolExecutor(count) as pool:
            loop = asyncio.get_running_loop()
            running = [loop.run_in_executor(pool, self._work, number) for number in range(count)]
            try:
                yield
            finally:
                self._over.set()
                await asyncio.gather(*running)

    def _work(self, number: int) -> None:
        """Every fifth connects anew for each request, every fifth streams, every fifth thinks for long."""
        rng = random.Random(number)
        headers = self.headers | ({"Connection": "close"} if number % 5 == 0 else {})
        body = json.dumps({**ASK, "stream": number % 5 == 1})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        while not self._over.is_set():
            try:
                connection.request("POST", "/api/chat", body, headers)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if answer.status != 200 or b'"done":true' not in said.replace(b" ", b""):
                self.lost.append(f"{answer.status} {said[:200]!r}")
            self.answered += 1
            self._over.wait(rng.uniform(0, 0.5 if number % 5 == 2 else 0.15))
        connection.close()


async def _left(process: Process) -> int:
    process.terminate()
    async with asyncio.timeout(LONG):
        return await process.wait()


async def test_gateways_of_one_port_restart_in_turn_and_no_client_loses_a_request(site: Site, tmp_path: Path) -> None:
    await site.add_node(capacity=64)
    port = free_port()
    clients = Clients(port, site.key)
    async with contextlib.AsyncExitStack() as stack:

        async def start() -> Process:
            process = await stack.enter_async_context(
                gateway(site, tmp_path, "uvicorn", port, OLLAMAMAX_LEAVE_SECONDS="2")
            )
            # The first one's answer would do for all.
            await until(lambda: _listens(process))
            return process

        one, other = await start(), await start()
        async with clients.at_work(20):
            await until(lambda: clients.answered > 100)
            assert await _left(one) == -signal.SIGTERM
            await start()
            assert await _left(other) == -signal.SIGTERM
            answered = clients.answered
            await until(lambda: clients.answered > answered + 100)
    assert clients.lost == []


@pytest.mark.parametrize("server", SERVERS)
async def test_it_says_first_that_it_leaves_and_then_closes(site: Site, tmp_path: Path, server: str) -> None:
    """Kept connections: one is used after the signal, one rests, one carries a stream that outlasts the announcement."""

    async def takes_a_while(ticket: Ticket) -> AsyncIterator[Event]:
        for number in range(35):
            yield Delta(text=f"{number} ", tokens=1)
            await asyncio.sleep(0.1)
        yield Final("stop", prompt_tokens=1, completion_tokens=35)

    await site.add_node(script=takes_a_while)
    port = free_port()
    async with (
        gateway(site, tmp_path, server, port, OLLAMAMAX_LEAVE_SECONDS="2") as process,
        contextlib.AsyncExitStack() as stack,
    ):
        used, rests, streams = [await stack.enter_async_context(_kept(port)) for _ in range(3)]
        assert await _ask(rests, "/healthz") == (200, None)
        await _send(streams, "POST", "/api/chat", json.dumps({**ASK, "stream": True}), site.key)
        assert b" 200 " in await streams[0].readline()
        process.terminate()
        while True:
            async with _kept(port) as late:  # new ones still come in
                status, connection = await _ask(late, "/readyz")
                if status == 503:
                    break
                assert status == 200
        assert connection == "close"
        assert await late[0].read() == b"", "it closes what it said it would close"
        assert await _ask(used, "/healthz") == (200, "close")
        assert await used[0].read() == b""
        assert await rests[0].read() == b""
        await _until_refused(port)
        async with asyncio.timeout(LONG):
            while b'"done":true' not in (line := await streams[0].readline()):
                assert line, "the stream was cut"
            # It was told nothing when it began: so it may ask once more, and is told then.
            await streams[0].readuntil(b"0\r\n\r\n")
            assert await _ask(streams, "/healthz") == (200, "close")
            await process.wait()


def test_who_waits_to_be_accepted_when_the_port_closes_is_answered() -> None:
    """With the port the system would drop them, although they are connected and have asked."""

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def asked(listening: socket.socket) -> list[bytes]:
        door = Door(WireBounds(), Connections(64, 64), Leaving(0, 5))
        protocol, _ = protocols(door)
        config = uvicorn.Config(answers, http=protocol, lifespan="off", log_config=None)
        config.load()
        server = Server(config, door, listening)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        address = listening.getsockname()
        with contextlib.ExitStack() as stack:
            # Nothing is awaited here: so the server accepts none of them.
            waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(20)]
            for each in waiting:
                each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                each.settimeout(LONG)
            door.leaving.begin(0)
            server.stop_listening()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            said = [await asyncio.to_thread(_all_of, each) for each in waiting]
        await server.shutdown()
        return said

    with socket.socket() as listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        listening.bind(("127.0.0.1", 0))
        said = runner.run(asked(listening))
    assert all(each.startswith(b"HTTP/1.1 200") and b"connection: close" in each for each in said)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux divides connections among processes of a port")
def test_who_connects_while_a_port_closes_comes_to_another_process_of_it() -> None:
    with contextlib.ExitStack() as stack:
        closing, stays = (stack.enter_context(socket.socket()) for _ in range(2))
        for each in (closing, stays):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", 0) if each is closing else closing.getsockname())
            each.listen(64)
        begin_no_handshake(closing)
        address = stays.getsockname()
        with ThreadPoolExecutor(20) as pool:
            connecting = [pool.submit(socket.create_connection, address, LONG) for _ in range(20)]
            closing.settimeout(0.2)
            with pytest.raises(TimeoutError):
                closing.accept()
            closing.close()
            clients = [stack.enter_context(each.result()) for each in connecting]
        stays.settimeout(LONG)
        came = {stack.enter_context(stays.accept()[0]).getpeername() for _ in clients}
        assert came == {each.getsockname() for each in clients}


def _all_of(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    return b"".join(iter(lambda: connection.recv(4096), b""))


Kept = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def _kept(port: int) -> AsyncIterator[Kept]:
    async with asyncio.timeout(LONG):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def _until_refused(port: int) -> None:
    # Reset: its handshake was under way when the last process of the port closed it.
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
        while True:
            async with _kept(port):
                pass


async def _send(kept: Kept, method: str, path: str, body: str = "", key: str = "") -> None:
    length = f"Content-Length: {len(body)}\r\nAuthorization: Bearer {key}\r\n" if body else ""
    kept[1].write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}".encode())


async def _ask(kept: Kept, path: str) -> tuple[int, str | None]:
    """The status, and what the answer says of its connection."""
    await _send(kept, "GET", path)
    status = int((await kept[0].readline()).split()[1])
    said: dict[str, str] = {}
    while line := (await kept[0].readline()).decode().strip():
        name, _, value = line.partition(":")
        said[name.lower()] = value.strip()
    await kept[0].readexactly(int(said["content-length"]))
    return status, said.get("connection")
