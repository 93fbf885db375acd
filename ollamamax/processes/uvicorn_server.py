"""uvicorn's server, which ends as `Leaving` says: uvicorn's own closes at once what it finds open."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from typing import Any

import uvicorn

from ollamamax.processes.certificate import ReloadedCertificate
from ollamamax.processes.door.on_uvicorn import Door, DoorProtocol
from ollamamax.processes.leaving import Stage

HANDSHAKE_SECONDS = 0.2
"""How long handshakes that are on their way may take after the port takes no new ones."""
_SO_ATTACH_FILTER = 26
_NO_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""In the kernel's filter language: of TCP's flags (byte 13) look at SYN and ACK, drop a packet with SYN alone, pass all others."""


def begin_no_handshake(listening: socket.socket) -> None:
    """Let the system drop who wants to connect: they try again within a second, and then come to another process of the port."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_SYN))
    with contextlib.suppress(OSError):  # not on this system: then they come in until the port closes
        listening.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN), ctypes.addressof(program))
        )


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, door: Door, listening: socket.socket) -> None:
        super().__init__(config)
        self._door = door
        self._listening = listening
        listening.setblocking(False)
        self._listens = True
        self._deaf_since: float | None = None
        self._coming: set[asyncio.Task[Any]] = set()
        """Connections that were taken out of the queue when the port was closed."""
        self._told: set[Any] = set()
        self._certificate: ReloadedCertificate | None = None

    def run_here(self) -> None:
        """Returns after SIGTERM or SIGINT; a second SIGINT cuts it short."""
        self.run(sockets=[self._listening])

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second. Returns whether nothing is left to do."""
        if self.config.ssl is not None:
            if self._certificate is None:
                cert, key = str(self.config.ssl_certfile), str(self.config.ssl_keyfile)
                self._certificate = ReloadedCertificate(self.config.ssl, cert, key)
            self._certificate.look(asyncio.get_running_loop().time())
        if not await super().on_tick(counter):
            return False
        return self.force_exit or self._leave(asyncio.get_running_loop().time())

    def _leave(self, now: float) -> bool:
        leaving, counted = self._door.leaving, self._door.connections
        connections: list[Any] = list(self.server_state.connections)
        if not leaving.begun:
            leaving.begin(now)
            for each in connections:
                if isinstance(each, DoorProtocol):
                    each.announce()
        stage = leaving.stage(now, counted.open + len(self._coming), counted.seen)
        if stage is not Stage.ANNOUNCING and self._listens:
            if self._deaf_since is None:
                self._deaf_since = now
                begin_no_handshake(self._listening)
            elif now - self._deaf_since >= HANDSHAKE_SECONDS or stage is Stage.OVER:
                self.stop_listening()
        for each in connections:
            if isinstance(each, DoorProtocol):
                each.leave(now)
            elif stage is not Stage.ANNOUNCING and each not in self._told:  # a WebSocket: it would never end by itself
                self._told.add(each)
                each.shutdown()
        if stage is not Stage.OVER or ((self._listens or self._coming) and leaving.seconds_left(now)):
            return False
        # What uvicorn then waits for: requests whose clients left, and of those that are cut the end.
        self.config.timeout_graceful_shutdown = max(1, round(leaving.seconds_left(now)))
        return True

    def stop_listening(self) -> None:
        """With the port the system would drop whoever is connected already and waits to be accepted."""
        self._listens = False
        waiting: list[socket.socket] = []
        with contextlib.suppress(OSError):  # `BlockingIOError`: there are no more
            while True:
                waiting.append(self._listening.accept()[0])
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            connection.setblocking(False)
            task = loop.create_task(self._take(connection))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _take(self, connection: socket.socket) -> None:
        config = self.config
        with contextlib.suppress(OSError):  # it left, or its handshake fails
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: config.http_protocol_class(  # type: ignore[call-arg]
                    config=config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                connection,
                ssl=config.ssl,
            )
