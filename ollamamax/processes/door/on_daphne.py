"""The door in front of daphne's parser, which is Twisted's: bytes are counted before its channel gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.server import Server
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import HTTPChannel

from ollamamax.processes.door import refusal
from ollamamax.processes.door.connections import Connections, has_more
from ollamamax.processes.door.meter import ConnectionMeter, Phase, RequestTooFar, WireBounds
from ollamamax.processes.leaving import Leaving, Stage

TICK_SECONDS = 0.1
MOST_WAITING = 4096
"""Connections that the system holds for a port whose process does not accept them yet."""
MostBody = Callable[[bytes], int]
"""Path and query of a request to the bytes that its body may have."""


class _Request(WebRequest):  # type: ignore[misc] # daphne has no types
    """A request whose body is kept on the disk until it is whole: so its size has a bound here."""

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        self.most = self.channel.most_body(self.channel._path)
        super().gotLength(length)
        if length is not None and length > self.most:
            self.channel.refuse(413)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self.channel.meter.body(len(data))
        if self.channel.meter.body_bytes > self.most:
            self.channel.refuse(413)
        elif not self.channel.refused:
            super().handleContentChunk(data)

    def handle_reply(self, message: Any) -> None:
        if message.get("type") == "http.response.start" and self.channel is not None and self.channel.leaving.begun:
            self.channel.persistent = False
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])
        super().handle_reply(message)


class _Channel(HTTPChannel):  # type: ignore[misc] # Twisted's types are not followed
    """HTTP/1.1 of one connection."""

    requestFactory = _Request  # noqa: N815
    refused = False
    _busy = False

    def __init__(self, bounds: WireBounds, most_body: MostBody, leaving: Leaving) -> None:
        super().__init__()
        self.leaving = leaving
        self.most_body = most_body
        self.maxHeaders = bounds.headers
        self.totalHeadersSize = self.MAX_LENGTH = bounds.head_bytes
        self._answered_at = asyncio.get_event_loop().time()
        self.meter = ConnectionMeter(bounds, self._answered_at)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        meter = self.meter
        meter.arrives(asyncio.get_event_loop().time())
        at = 0
        try:
            while at < len(data) and not self.refused:
                # What comes while a request is answered is kept by Twisted, within its bound, and read afterwards.
                piece = data[at : at + meter.room()]
                at += len(piece)
                phase, body = meter.phase, meter.body_bytes
                super().dataReceived(piece)
                if not self._busy:
                    meter.fed(len(piece), phase, body)
                elif meter.phase is Phase.HEAD:
                    meter.request_ends()
        except RequestTooFar as refused:
            self.refuse(refused.status)

    def allHeadersReceived(self) -> None:  # noqa: N802
        self.meter.head_ends(asyncio.get_event_loop().time(), 0)  # twisted counts headers itself
        super().allHeadersReceived()

    def allContentReceived(self) -> None:  # noqa: N802
        self.meter.request_ends()
        self._busy = True
        if not self.refused:
            super().allContentReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802
        self._busy = False
        self._answered_at = asyncio.get_event_loop().time()
        super().requestDone(request)

    def may_close(self, now: float) -> bool:
        return not self._busy and self.meter.rests and self.leaving.may_close(now, self._answered_at)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self.refuse(431)

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        too_much = self._receivedHeaderCount > self.maxHeaders or self._receivedHeaderSize > self.totalHeadersSize
        self.refuse(431 if too_much else 400)

    def refuse(self, status: int) -> None:
        if self.refused:
            return
        self.refused = True
        if not self._busy:
            self.transport.write(refusal.response(status))
        self.loseConnection()


class _Connection(ProtocolWrapper):  # type: ignore[misc]
    """One connection, whatever it speaks: it is counted from its first moment to its last."""

    _address: str | None = None

    def connectionMade(self) -> None:  # noqa: N802
        door: DoorFactory = self.factory
        address = getattr(self.transport.getPeer(), "host", "")
        status = door.connections.enter(address)
        if status:
            self.transport.write(refusal.response(status))
            self.transport.loseConnection()
            return
        self._address = address
        door.connections.watch(self)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self._address is not None:
            super().dataReceived(data)

    def connectionLost(self, reason: Any = connectionDone) -> None:  # noqa: N802
        if self._address is None:
            self.factory.unregisterProtocol(self)
            return
        self.factory.connections.forget(self)
        self.factory.connections.leave(self._address)
        self._address = None
        super().connectionLost(reason)

    def look(self, now: float) -> None:
        channel = self.wrappedProtocol
        if isinstance(channel, _Channel) and channel.meter.is_late(now, held_up=False):
            # Without a word: who sends half a request reads no answer, and an idle connection asked for none.
            self.transport.abortConnection()

    def leave(self, now: float, stage: Stage) -> None:
        """Close, where nobody waits for an answer. A WebSocket would never end by itself."""
        channel = self.wrappedProtocol
        if not isinstance(channel, _Channel):
            if stage is not Stage.ANNOUNCING:
                self.transport.loseConnection()
        elif channel.may_close(now) and not has_more(self.transport.socket):
            self.transport.loseConnection()


class DoorFactory(WrappingFactory):  # type: ignore[misc]
    """Makes the connections. HTTP/1.1 only: what HTTP/2 multiplexes nobody would count here."""

    protocol = _Connection

    def __init__(
        self,
        made: HTTPFactory,
        bounds: WireBounds,
        connections: Connections,
        leaving: Leaving,
        most_body: MostBody,
    ) -> None:
        made.timeOut = None  # it starts anew with every byte; the meter's clocks do not

        def build(address: Any) -> _Channel:
            channel = _Channel(bounds, most_body, leaving)
            channel.factory = made
            channel.timeOut = None
            return channel

        made.buildProtocol = build
        made.acceptableProtocols = lambda: [b"http/1.1"]
        super().__init__(made)
        self.connections = connections


class DoorServer(Server):  # type: ignore[misc]
    """daphne, with the door around the factory that it makes for itself when it starts."""

    def __init__(
        self,
        *given: Any,
        bounds: WireBounds,
        connections: Connections,
        leaving: Leaving,
        most_body: MostBody,
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        self._bounds, self._counted, self._leaving, self._most_body = bounds, connections, leaving, most_body
        self._ports: list[Any] = []

    @property
    def http_factory(self) -> DoorFactory:
        return self._factory

    @http_factory.setter
    def http_factory(self, made: HTTPFactory) -> None:
        self._factory = DoorFactory(made, self._bounds, self._counted, self._leaving, self._most_body)

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    def kill_all_applications(self) -> Any:
        """Called when the process is told to stop. The reactor goes on until what is returned fires."""
        left: Deferred[None] = Deferred()
        self._leave(left)
        return left.addCallback(lambda _: super(DoorServer, self).kill_all_applications())

    def _leave(self, left: Deferred[None]) -> None:
        now = asyncio.get_event_loop().time()
        self._leaving.begin(now)
        stage = self._leaving.stage(now, self._counted.open, self._counted.seen)
        if stage is not Stage.ANNOUNCING:
            for port in self._ports:
                port.numberAccepts = MOST_WAITING
                port.doRead()  # those who are connected already and wait to be accepted
                port.stopListening()
            self._ports.clear()
        for connection in list(self._factory.protocols):
            connection.leave(now, stage)
        if stage is Stage.OVER:
            left.callback(None)
        else:
            reactor.callLater(TICK_SECONDS, self._leave, left)
