"""The token streams of this process: one reader for all of them, who asks for what is missing and holds back what is too much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from redis.exceptions import RedisError

from cluster.dispatch.stream import Stream
from cluster.wire import Control, Failure, Final, Frame, decode_frames, encode_control
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Subscription

PAUSE_BYTES = 256 << 10
"""When so much waits for a slow client, its engine is paused."""
RESUME_BYTES = PAUSE_BYTES // 4
MOST_BYTES = 16 * PAUSE_BYTES
"""When so much waits, because the node does not pause, the stream is cut."""
READ_PATIENCE = 30.0
"""Seconds for which a client may leave unread what was sent to it."""
SILENT_SECONDS = 5.0
"""After so long without a word a node is asked for what comes next: a lost last message leaves no gap to see."""
_log = logs.get(__name__)


class Streams:
    """``gateway`` is this process. ``granted(ticket, node)`` is told of waiting tickets that a node was given."""

    def __init__(
        self,
        gateway: str,
        commands: Pipelined,
        url: str,
        granted: Callable[[str, str], object],
    ) -> None:
        self._gateway = gateway
        self._commands = commands
        self._url = url
        self._granted = granted
        self._streams: dict[str, Stream] = {}
        self._disowned: dict[str, float] = {}

    def open(self, ticket: str) -> Stream:
        """Before the ticket is given away: its frames may come from any node until `Stream.node` is known."""
        stream = self._streams[ticket] = Stream(ticket, "")
        return stream

    def close(self, ticket: str) -> bool:
        """Whether it was open. What still comes is disowned."""
        return self._streams.pop(ticket, None) is not None

    def beside(self, stream: Stream) -> bool:
        """Whether its node has another one of this process."""
        return any(each.node == stream.node and each is not stream for each in self._streams.values())

    async def receive(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        """The one reader. ``on_ready`` is called whenever it listens (again)."""
        granted = keys.granted(self._gateway)
        while True:
            try:
                async with Subscription(
                    self._url, channels=[granted], patterns=[keys.tokens("*", self._gateway)]
                ) as said:
                    await on_ready()
                    await self._ask_again(0.0)
                    while True:
                        for channel, data in await said.messages():
                            if channel == granted.encode():
                                ticket, _, node = data.decode().partition(" ")
                                self._granted(ticket, node)
                            else:
                                await self._take(channel.decode(), data)
            except RedisError as error:
                _log.warning("token_channel_disconnected", streams=len(self._streams), error=str(error))
                await asyncio.sleep(0.1)

    def end_those_of_lost_nodes(self, alive: Callable[[str], bool]) -> None:
        for stream in list(self._streams.values()):
            if stream.node and not stream.ended and not alive(stream.node):
                stream.end(Failure("node_lost", "The node that ran this request stopped answering.", 502))

    async def look(self) -> None:
        """Once a second: end the streams of clients that do not read, ask after those that are silent."""
        for stream in list(self._streams.values()):
            since = stream.unread_since()
            if since is not None and time.monotonic() - since > READ_PATIENCE:
                stream.give_up()
        await self._ask_again(SILENT_SECONDS)
        horizon = time.monotonic() - 60
        self._disowned = {ticket: at for ticket, at in self._disowned.items() if at > horizon}

    async def cancel(self, stream: Stream) -> None:
        """Have its node stop the work; the last counts still come."""
        await self._control(stream.node, Control("cancel", stream.ticket, self._gateway))

    async def resume_if_read(self, stream: Stream) -> None:
        """Its client has read some."""
        if stream.paused_at is not None and stream.backlog < RESUME_BYTES:
            stream.paused_at = None
            await self._control(stream.node, Control("resume", stream.ticket, self._gateway))

    async def _take(self, channel: str, data: bytes) -> None:
        node = channel.split(":")[2]
        try:
            frames: list[Frame] = decode_frames(data)
        except msgspec.DecodeError as error:
            _log.warning("frames_unreadable", node=node, error=str(error))
            return
        for frame in frames:
            stream = self._streams.get(frame.ticket)
            if stream is None or (stream.node and stream.node != node):
                await self._disown(node, frame)
            elif not stream.take(frame):
                await self._control(node, Control("resend", frame.ticket, self._gateway, stream.expected))
            elif stream.backlog > PAUSE_BYTES:
                await self._hold_back(stream)

    async def _disown(self, node: str, frame: Frame) -> None:
        """Nobody waits for this ticket any more: tell the node to stop it, at most once a second."""
        if frame.events and isinstance(frame.events[-1], Final | Failure):
            return
        now = time.monotonic()
        if now - self._disowned.get(frame.ticket, 0.0) > 1.0:
            self._disowned[frame.ticket] = now
            await self._control(node, Control("cancel", frame.ticket, self._gateway))

    async def _hold_back(self, stream: Stream) -> None:
        """The client reads slower than the engine writes."""
        if stream.backlog > MOST_BYTES and not stream.ended:
            stream.end(Failure("client_too_slow", "The client reads too slowly.", 408))
            await self._control(stream.node, Control("cancel", stream.ticket, self._gateway))
        elif stream.paused_at is None and not stream.ended:
            stream.paused_at = time.monotonic()
            await self._control(stream.node, Control("pause", stream.ticket, self._gateway))

    async def _control(self, node: str, control: Control) -> None:
        try:
            await self._commands.do("PUBLISH", keys.node_control(node), encode_control(control))
        except RedisError as error:
            _log.warning("control_failed", node=node, verb=control.verb, ticket=control.ticket, error=str(error))

    async def _ask_again(self, silent_for: float) -> None:
        now = time.monotonic()
        for stream in list(self._streams.values()):
            if stream.node and not stream.ended and now - stream.heard_at >= silent_for:
                await self._control(stream.node, Control("resend", stream.ticket, self._gateway, stream.expected))
