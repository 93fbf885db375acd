"""The token streams of this process: one reader for all of them, who asks for what is missing and holds back what is too much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from cluster.dispatch.token_stream import TokenStream
from cluster.fleet.node_allowance import NodeAllowances
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.background import Background
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Subscription
from ollamamax.contract import Control, Failure, Final, Frame, Nonsense, Verb, decode_frames, encode_control
from ollamamax.contract.bounds import USUAL_FRAMES_BYTES

PAUSE_BYTES = 256 << 10
"""When so much waits for a slow client, its engine is paused."""
RESUME_BYTES = PAUSE_BYTES // 4
MOST_BYTES = 16 * PAUSE_BYTES
"""When so much waits, because the node does not pause, the stream is cut."""
MOST_ANSWER_BYTES = 128 << 20
"""Of one answer's output, as it lies in memory: half a million tokens. What is wanted whole is kept until its end, and a node could write for ever."""
READ_PATIENCE = 30.0
"""Seconds for which a client may leave unread what was sent to it."""
SILENT_SECONDS = 5.0
"""After so long without a word a node is asked for what comes next: a lost last message leaves no gap to see."""
MOST_DISOWNED = 10_000
"""Tickets of which is remembered that a node was told to stop them: there are as many as a node likes to invent."""
_log = logs.get(__name__)


class TokenStreams:
    """``gateway`` is this process. ``granted(ticket, node)`` is told of waiting tickets that a node was given,
    ``ordered(data)`` of what the control plane wants of a request, ``astray(ticket, node)`` of those that a node runs for nobody here."""

    def __init__(
        self,
        gateway: str,
        commands: Pipelined,
        url: str,
        granted: Callable[[str, str], object],
        astray: Callable[[str, str], object],
        allowances: NodeAllowances,
        background: Background,
        ordered: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self._gateway = gateway
        self._commands = commands
        self._url = url
        self._grants = keys.granted(gateway).encode()
        self._granted = granted
        self._orders = keys.gateway_orders(gateway).encode()
        self._ordered = ordered
        self._astray = astray
        self._allowances = allowances
        self._background = background
        self._streams: dict[str, TokenStream] = {}
        self._disowned: dict[str, float] = {}
        self._unsaid: asyncio.Queue[tuple[str, Control]] = asyncio.Queue()

    def open(self, ticket: str) -> TokenStream:
        """Before the ticket is given away: whoever writes frames of it, they are held until `TokenStream.node` is known."""
        stream = self._streams[ticket] = TokenStream(ticket, "")
        return stream

    def close(self, ticket: str) -> bool:
        """Whether it was open. What still comes is disowned."""
        return self._streams.pop(ticket, None) is not None

    def has_attempt_of(self, request: str) -> bool:
        return any(ticket.startswith(f"{request}.") for ticket in self._streams)

    def beside(self, stream: TokenStream) -> bool:
        """Whether its node has another one of this process."""
        return any(each.node == stream.node and each is not stream for each in self._streams.values())

    async def receive(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        """The one reader, for ever. ``on_ready`` is called as soon as it listens (again)."""

        async def load() -> None:
            await on_ready()
            self._ask_again(0.0)

        await Subscription(
            "tokens",
            self._url,
            self._hear,
            channels=[keys.granted(self._gateway), keys.gateway_orders(self._gateway)],
            patterns=[keys.tokens("*", self._gateway)],
            load=load,
            background=self._background,
        ).run()

    def _hear(self, channel: bytes, data: bytes) -> None:
        if channel == self._grants:
            ticket, _, node = data.decode().partition(" ")
            self._granted(ticket, node)
        elif channel == self._orders:
            self._ordered(data)
        else:
            self._take(channel, data)

    async def speak(self) -> None:
        """The one writer: nodes hear what they are told in its order, so that none is paused for good."""
        while True:
            said = [await self._unsaid.get()]
            while not self._unsaid.empty():
                said.append(self._unsaid.get_nowait())
            try:
                await self._commands.do_all(
                    [("PUBLISH", keys.node_control(node), encode_control(control)) for node, control in said]
                )
            except RedisError as error:
                _log.warning("controls_failed", controls=len(said), error=str(error))

    def end_those_of_lost_nodes(
        self, alive: Callable[[str], bool], may_return: Callable[[str], bool], has_other: Callable[[str], bool]
    ) -> None:
        """Those of nodes that may return are left to them, where no other node could take over (``has_other(ticket)``)."""
        for stream in list(self._streams.values()):
            if stream.node and not stream.ended and not alive(stream.node):
                if may_return(stream.node) and not has_other(stream.ticket):
                    continue
                stream.end(Failure("node_lost", "The node that ran this request stopped answering.", 502))

    def look(self) -> None:
        """Once a second: end the streams of clients that do not read, ask after those that are silent."""
        for stream in list(self._streams.values()):
            since = stream.unread_since()
            if since is not None and time.monotonic() - since > READ_PATIENCE:
                stream.give_up()
        self._ask_again(SILENT_SECONDS)
        horizon = time.monotonic() - 60
        self._disowned = {ticket: at for ticket, at in self._disowned.items() if at > horizon}

    def cancel(self, stream: TokenStream) -> None:
        """Have its node stop the work; the last counts still come."""
        self._tell(stream.node, "cancel", stream.ticket)

    def resume_if_read(self, stream: TokenStream) -> None:
        """Its client has read some."""
        if stream.paused_at is not None and stream.backlog < RESUME_BYTES:
            stream.paused_at = None
            self._tell(stream.node, "resume", stream.ticket)

    def _take(self, channel: bytes, data: bytes) -> None:
        # What stands before the node's id is ours, the rest is whatever it chose.
        node = channel.split(b":")[2].decode("ascii", "replace")
        if len(data) > USUAL_FRAMES_BYTES and not any(each.node in {"", node} for each in self._streams.values()):
            self._allowances.useless(node, len(data))
            return
        try:
            frames = decode_frames(data)
        except Nonsense as error:
            self._allowances.nonsense(node, len(data), error.reason)
            self._end_those_of(node)
            return
        useless = 0
        for frame in frames:
            stream = self._streams.get(frame.ticket)
            if stream is None or (stream.node and stream.node != node):
                self._disown(node, frame)
                useless += 1
                continue
            if not stream.node:
                useless += not stream.hold(node, frame)
                continue
            before = stream.expected
            if not stream.take(frame):
                self._tell(node, "resend", frame.ticket, stream.expected)
            useless += stream.expected == before
            if stream.taken > MOST_ANSWER_BYTES:
                self._cut(stream)
            elif stream.backlog > PAUSE_BYTES:
                self._hold_back(stream)
        if useless:
            self._allowances.useless(node, len(data) if useless == len(frames) else 0, count=useless)

    def _end_those_of(self, node: str) -> None:
        """Which request the nonsense was about is not known; waiting for its rest would be waiting for more of it."""
        for stream in list(self._streams.values()):
            if stream.node == node and not stream.ended:
                stream.end(Failure("engine_failed", "What the node sent cannot be read.", 502))

    def _disown(self, node: str, frame: Frame) -> None:
        """Nobody waits for this ticket any more: tell the node to stop it, at most once a second."""
        now = time.monotonic()
        known = self._disowned.get(frame.ticket)
        if (known is not None and now - known <= 1.0) or len(self._disowned) >= MOST_DISOWNED:
            return
        self._disowned[frame.ticket] = now
        if known is None and not self.has_attempt_of(frame.ticket.rpartition(".")[0]):
            # Perhaps it was given when nobody waited for the answer any more: then its slot is given back.
            self._astray(frame.ticket, node)
        if not (frame.events and isinstance(frame.events[-1], Final | Failure)):
            self._tell(node, "cancel", frame.ticket)

    def _hold_back(self, stream: TokenStream) -> None:
        """The client reads slower than the engine writes."""
        if stream.backlog > MOST_BYTES and not stream.ended:
            stream.end(Failure("client_too_slow", "The client reads too slowly.", 408))
            self.cancel(stream)
        elif stream.paused_at is None and not stream.ended:
            stream.paused_at = time.monotonic()
            self._tell(stream.node, "pause", stream.ticket)

    def _cut(self, stream: TokenStream) -> None:
        """It is longer than any answer; no other node is asked for the like."""
        if not stream.ended:
            _log.warning("answer_too_long", node=stream.node, ticket=stream.ticket)
            stream.end(Failure("answer_too_long", "The answer is longer than this server takes.", 502))
            self.cancel(stream)

    def _tell(self, node: str, verb: Verb, ticket: str, seq: int = 0) -> None:
        self._unsaid.put_nowait((node, Control(verb, ticket, self._gateway, seq)))

    def _ask_again(self, silent_for: float) -> None:
        now = time.monotonic()
        for stream in list(self._streams.values()):
            if stream.node and not stream.ended and now - stream.heard_at >= silent_for:
                self._tell(stream.node, "resend", stream.ticket, stream.expected)
