"""The way back: numbers the events of each ticket, and writes to one gateway whatever gathered since its last send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from ollamamax import contract, logs
from ollamamax.bus import keys
from ollamamax.bus.link import Command
from ollamamax.bus.pipelined import Pipelined

FIRST_SECONDS = 0.05
"""How long a ticket's first event may wait for its first output, so that both travel in one frame."""
GATHER_SECONDS = 1.0
"""How long output may wait that its client does not read before the end. Another node goes on from what has left."""
DONE_LENGTH = 1000

log = logs.get("cluster.worker.outlet")


@dataclass
class Sent:
    """What left, or will leave, for one ticket. An event's number is its place in ``sent`` followed by ``pending``."""

    ticket: str
    raw: bytes
    sent: list[contract.Event] = field(default_factory=list)
    pending: list[contract.Event] = field(default_factory=list)
    done: bytes | None = None
    written: bool = False
    """Its end was published, and it is off the list of claimed tickets."""
    held: asyncio.TimerHandle | None = None
    """What waits is written then, if nothing has it written before."""

    def add(self, event: contract.Event) -> None:
        """Add an event; output that waits already takes the new output in."""
        last = self.pending[-1] if self.pending else None
        if isinstance(event, contract.Delta) and isinstance(last, contract.Delta):
            self.pending[-1] = contract.joined([last, event])
        else:
            self.pending.append(event)

    def take(self) -> contract.Frame:
        """A frame of what waits, which counts as sent from now on."""
        if not self.sent and isinstance(self.pending[0], contract.Started):
            self.pending[0].ago = max(0.0, time.time() - self.pending[0].started_at)
        frame = contract.Frame(self.ticket, len(self.sent), self.pending)
        self.sent += self.pending
        self.pending = []
        if self.held is not None:
            self.held.cancel()
            self.held = None
        return frame


class Outlet:
    """The one writer to one gateway. It lives while something waits to be written."""

    def __init__(self, commands: Pipelined, node: str, gateway: str) -> None:
        self._commands = commands
        self._node = node
        self.gateway = gateway
        self._channel = keys.tokens(node, gateway)
        self._waiting: dict[str, Sent] = {}
        self._frames: list[contract.Frame] = []
        self._task: asyncio.Task[None] | None = None
        self.deaf_since: float | None = None
        """Since when nobody listens on the gateway's channel."""

    def put(self, sent: Sent, event: contract.Event, *, hold: float = 0.0) -> None:
        """Write ``event`` as soon as the last send is over; it may wait so many seconds for the next."""
        sent.add(event)
        if not hold:
            self._wake(sent)
        elif sent.held is None:
            sent.held = asyncio.get_running_loop().call_later(hold, self._wake, sent)

    def frame(self, frame: contract.Frame) -> None:
        """Write a frame as it is: one that is sent again, or the end of an unknown ticket."""
        self._frames.append(frame)
        self._start()

    async def flush(self) -> None:
        """Wait until all is written."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def _wake(self, sent: Sent) -> None:
        if sent.pending:
            self._waiting[sent.ticket] = sent
            self._start()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting or self._frames:
            waiting, self._waiting = self._waiting, {}
            frames, self._frames = self._frames, []
            frames += [sent.take() for sent in waiting.values() if sent.pending]
            ended = [sent for sent in waiting.values() if sent.done is not None]
            if frames:
                await self._send(contract.encode_frames(frames), ended)

    async def _send(self, data: bytes, ended: list[Sent]) -> None:
        """Publish, and take tickets that ended off the list of claimed ones in the same step; until it succeeds."""
        pause = 0.05
        while True:
            try:
                self._heard(await _publish(self._commands, self._node, self._channel, data, ended))
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("frames_wait_for_redis", gateway=self.gateway, error=str(error))
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)
            else:
                for sent in ended:
                    sent.written = True
                return

    def _heard(self, listeners: int) -> None:
        if listeners:
            self.deaf_since = None
        elif self.deaf_since is None:
            self.deaf_since = asyncio.get_running_loop().time()


async def _publish(redis: Pipelined, node: str, channel: str, data: bytes, ended: list[Sent]) -> int:
    """How many listened."""
    if not ended:
        return int(await redis.do("PUBLISH", channel, data))
    claimed, done = keys.node_claimed(node), keys.node_done(node)
    commands: list[Command] = [("MULTI",), ("PUBLISH", channel, data)]
    for sent in ended:
        commands.append(("LREM", claimed, 1, sent.raw))
        commands.append(("XADD", done, "MAXLEN", "~", DONE_LENGTH, "*", "t", sent.ticket, "r", sent.done or b"{}"))
    # One transaction: a ticket that is off the list has its end in the done stream.
    *_, answers = await redis.do_all([*commands, ("EXEC",)])
    return int(answers[0])


class Outlets:
    """The writers of one node, by gateway."""

    def __init__(self, make: Callable[[str], Outlet]) -> None:
        self._make = make
        self._all: dict[str, Outlet] = {}

    def to(self, gateway: str) -> Outlet:
        if gateway not in self._all:
            self._all[gateway] = self._make(gateway)
        return self._all[gateway]

    def all(self) -> list[Outlet]:
        return list(self._all.values())

    def keep(self, gateways: set[str]) -> None:
        """Forget the writers to others than ``gateways``."""
        self._all = {name: outlet for name, outlet in self._all.items() if name in gateways}
