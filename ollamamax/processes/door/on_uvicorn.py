"""The door in front of uvicorn's parser: bytes are counted before `httptools` gets them."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from ollamamax.gateway.http import OWNER, Owner
from ollamamax.processes.door import refusal
from ollamamax.processes.door.connections import Connections, has_more, network
from ollamamax.processes.door.meter import ConnectionMeter, RequestTooFar, WireBounds
from ollamamax.processes.door.reading import Reading
from ollamamax.processes.leaving import Leaving
from ollamamax.processes.uvicorn_http import Http

MOST_PIPELINED = 8
"""Requests that may wait behind the one that is being answered."""
_GOODBYE_SECONDS = 1.0
_GOODBYE_BYTES = 1 << 20
"""So long, and for so many bytes, a client that was refused is still listened to: it reads why before it sees a reset."""
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class Door:
    bounds: WireBounds
    connections: Connections
    leaving: Leaving
    reading: Reading = field(default_factory=Reading)


class DoorProtocol(Http):
    """One connection, until it ends or becomes a WebSocket."""

    door: ClassVar[Door]
    _address: str | None = None
    """Under which it is counted."""
    _refused: int = 0
    _more: int = 0
    """Bytes that came after it was refused."""
    _why = 400
    """The status for what the parser is made to stop at."""
    _answered_at = 0.0
    _held = b""
    """What came and waits for its turn to be parsed."""
    owner = Owner()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answered_at = self.loop.time()
        self.meter = ConnectionMeter(self.door.bounds, self._answered_at)
        address = _host(self.client)
        status = self.door.connections.enter(address)
        if status:
            self._refuse(status)
            return
        self._address = address
        self.owner = Owner(network(address))
        self.door.connections.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self.owner.leave()
        super().connection_lost(exc)
        # Each knows the other: without this thousands that close at once would be left to the collector of cycles.
        self.cycle = None  # type: ignore[assignment]
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._more += len(data)
            if self._more > _GOODBYE_BYTES:
                self.transport.abort()
            return
        self.meter.arrives(self.loop.time())
        if self._held:
            # Most requests are one read: to stop listening to each would cost as much as the read.
            self._held += data
            self.transport.pause_reading()
        elif self.door.reading.may_read():
            self._parse(data)
        else:
            self._held = data
            self.door.reading.wait(self)

    def read(self) -> None:
        """Its turn to be parsed has come."""
        data, self._held = self._held, b""
        if self.transport.is_closing() or self._refused:
            return
        if not self.flow.read_paused:
            self.transport.resume_reading()
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        meter, at, end = self.meter, 0, len(data)
        try:
            while at < end and not self._refused and self._address is not None:
                size = meter.room()
                piece = data if not at and end <= size else data[at : at + size]
                at += len(piece)
                phase, body = meter.phase, meter.body_bytes
                super().data_received(piece)
                meter.fed(len(piece), phase, body)
        except RequestTooFar as refused:
            self._refuse(refused.status)
            if not refused.status:
                self.transport.abort()

    def _rests_since(self) -> float:
        """When its last answer was given, if nobody has asked anything since; never, if somebody has."""
        return self._answered_at if self.meter.rests and not self._held else math.inf

    def look(self, now: float) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        waits = cycle is not None and not cycle.response_complete and cycle.waiting_for_100_continue
        if self.meter.is_late(now, held_up=self.flow.read_paused or waits or bool(self._held)):
            # Without a word: who sends half a request reads no answer, and an idle connection asked for none.
            self._refuse(0)
        elif cycle is not None and cycle.response_complete and self._rests_since() < now - self.timeout_keep_alive:
            self.timeout_keep_alive_handler()

    def announce(self) -> None:
        """The process is to end: an answer that has not begun will say that its connection ends with it."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_started:
            cycle.keep_alive = False

    def leave(self, now: float) -> None:
        """Close, where nobody waits for an answer."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answered = cycle is None or cycle.response_complete
        if (
            not is_answered
            or self._held
            or not self.meter.rests
            or not self.door.leaving.may_close(now, self._answered_at)
        ):
            return
        if not self.transport.is_closing() and not has_more(self.transport.get_extra_info("socket")):
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self.door.leaving.begun and not self.pipeline:
            cycle.keep_alive = False
        scope = cast("dict[str, Any]", cycle.scope)
        scope[OWNER] = self.owner
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._why)

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # Its address stays counted: `DoorSocket` gives it back.
        self.door.connections.forget(self)
        self._address = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.meter.head_begins(self.loop.time())
        if len(self.pipeline) >= MOST_PIPELINED:
            self._stop(RequestTooFar(429))

    def on_headers_complete(self) -> None:
        # Counted once, here: until now their bytes bound them.
        try:
            self.meter.head_ends(self.loop.time(), len(self.headers))
        except RequestTooFar as refused:
            self._stop(refused)
        super().on_headers_complete()
        # Trailers would otherwise join the headers of a request that is already being answered. An upgrade has none, and its own are
        # still looked at.
        if not self.parser.should_upgrade():
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self.meter.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.meter.request_ends()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answered_at = self.loop.time()
        self.meter.answered(self._answered_at)
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
        else:
            # As uvicorn does it, but for its timer: `look` ends what rests for too long.
            self.server_state.total_requests += 1
            self.flow.resume_reading()

    def _stop(self, refused: RequestTooFar) -> None:
        """Make the parser stop here: uvicorn hears of an error, and asks for a 400."""
        self._why = refused.status
        raise refused

    def _refuse(self, status: int) -> None:
        """Say why, where no answer has begun, and close; 0 says nothing."""
        if self._refused:
            return
        self._refused = status or 408
        self.door.connections.forget(self)
        self._unset_keepalive_if_required()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            begun = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
        else:
            begun = False
        if self.transport.is_closing():
            return
        if begun or self.pipeline:
            self.transport.abort()
            return
        if not status:
            self.transport.close()
            self.loop.call_later(_FLUSH_SECONDS, self.transport.abort)
            return
        self.transport.write(refusal.response(status))
        if self._address is None:  # there are too many already
            self.transport.close()
            self.loop.call_later(_FLUSH_SECONDS, self.transport.abort)
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_GOODBYE_SECONDS, self.transport.close)
        self.loop.call_later(_FLUSH_SECONDS, self.transport.abort)

    def _leave(self) -> None:
        self.door.connections.forget(self)
        if self._address is not None:
            self.door.connections.leave(self._address)
            self._address = None


class DoorSocket(WSProtocol):
    """A connection that has become a WebSocket."""

    door: ClassVar[Door]

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.connections.leave(_host(self.client))
        super().connection_lost(exc)


def _host(client: tuple[str, int] | None) -> str:
    return client[0] if client else ""


def protocols(door: Door) -> tuple[Any, Any]:
    """The classes for ``http`` and ``ws`` of `uvicorn.Config`."""
    return type("Http", (DoorProtocol,), {"door": door}), type("Socket", (DoorSocket,), {"door": door})
