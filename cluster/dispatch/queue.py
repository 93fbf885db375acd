"""The requests of this process that wait for a slot: told when they have one, looked after until then."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import RedisError

from cluster.dispatch import queue_position
from cluster.dispatch.admission import Admission, Given, Lost
from cluster.dispatch.queue_position import Outlook, QueuePositions
from cluster.dispatch.request import Request, Waited
from ollamamax import logs
from ollamamax.bus.pipelined import Pipelined
from ollamamax.kernel import errors

FIRST_WORD = 5.0
"""Seconds until a client that waits hears the first sign of life; then again every `EACH`."""
EACH = 5.0
LOOKS = 300
"""How many waiting requests are looked after in one second."""
PATIENCE = 10.0
"""Seconds for which a request waits on though no node could serve it."""
_LINE_LIFETIME = 2.0
_log = logs.get(__name__)

Tell = Callable[[Outlook | None], Awaitable[None]]
"""Told to a client that waits; ``None`` when its place is not known."""
Nodes = Callable[[Request], Sequence[str]]


class Queue:
    """``nodes`` ranks a request's nodes as they are now; ``of_version`` counts those of this process that wait, by their version."""

    def __init__(self, commands: Pipelined, admission: Admission, nodes: Nodes, of_version: Counter[str]) -> None:
        self._commands = commands
        self._admission = admission
        self._nodes = nodes
        self._expected: dict[str, Request] = {}
        self._waiting: dict[str, Request] = {}
        """By ticket, the one looked after the longest ago first."""
        self._of_version = of_version
        self._without: dict[str, float] = {}
        self._line = QueuePositions()
        self._line_at = -_LINE_LIFETIME
        self._reading = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, request: Request) -> None:
        """Before admission: the grant may be here before its answer."""
        request.attempt.place = asyncio.get_running_loop().create_future()
        self._expected[request.attempt.ticket] = request

    def forget(self, request: Request) -> None:
        self._expected.pop(request.attempt.ticket, None)
        if self._waiting.pop(request.attempt.ticket, None) is not None:
            self._of_version[request.asked.version] -= 1
            if not self._of_version[request.asked.version]:
                del self._of_version[request.asked.version]
        self._without.pop(request.attempt.ticket, None)
        if request.attempt.place is not None and request.attempt.place.done() and not request.attempt.place.cancelled():
            request.attempt.place.exception()  # nobody may have asked for it: refused and interrupted at once
        request.attempt.place = None

    def granted(self, ticket: str, node: str) -> bool:
        """Whether somebody here waits for it."""
        request = self._expected.get(ticket)
        if request is None or request.attempt.place is None:
            return False
        if not request.attempt.place.done():
            request.attempt.place.set_result(node)
        return True

    def accept(self, request: Request, given: Given) -> str:
        """The node that it was given to at once. Raises `Interrupted` when its client left meanwhile."""
        assert request.attempt.place is not None  # noqa: S101 - expected before
        if request.attempt.place.done():
            return request.attempt.place.result()
        return given.node

    async def wait(self, request: Request, tell: Tell | None, at_first: float | None = None) -> str:
        """The node, once there is one. Raises `Interrupted`, `Unavailable`, and whatever ``tell`` raises.

        ``at_first``: raises `Waited` when it has no node so many seconds after it was admitted. It keeps its place; a second call
        waits on.
        """
        assert request.attempt.place is not None  # noqa: S101 - expected before
        if request.attempt.ticket not in self._waiting:
            self._waiting[request.attempt.ticket] = request
            self._of_version[request.asked.version] += 1
        begun = request.admitted_at or time.time()
        waited = max(0.0, time.time() - begun)
        # After a wait with signs the next one is due as if that had gone on.
        word = FIRST_WORD if waited < FIRST_WORD else waited + EACH
        while True:
            until = [each for each in (at_first, word if tell is not None else None) if each is not None]
            done, _ = await asyncio.wait(
                [request.attempt.place], timeout=max(0.0, min(until) - waited) if until else None
            )
            if done:
                return await request.attempt.place
            waited = max(0.0, time.time() - begun)
            if tell is not None and waited >= word:
                word = waited + EACH
                await tell(await self.outlook(request))
            elif at_first is not None and waited >= at_first:
                raise Waited(request, at_first)

    async def outlook(self, request: Request) -> Outlook | None:
        """Its place in the line, as of a moment ago."""
        async with self._reading:
            if time.monotonic() - self._line_at > _LINE_LIFETIME:
                try:
                    self._line = await queue_position.read(self._commands.do)
                except RedisError as error:
                    _log.warning("line_unreadable", error=str(error))
                    self._line = QueuePositions()
                self._line_at = time.monotonic()
        return self._line.places.get(request.id)

    async def look(self) -> None:
        """Once a second: take up grants whose message was lost, follow the fleet's changes. Raises `RedisError`."""
        looked = []
        for ticket, request in list(self._waiting.items())[:LOOKS]:
            if request.attempt.place is None or request.attempt.place.done():
                continue
            self._waiting[ticket] = self._waiting.pop(ticket)
            nodes = self._nodes(request)
            if not nodes:
                self._no_node(request)
                continue
            self._without.pop(ticket, None)
            looked.append((request, None if set(nodes) == set(request.attempt.offered) else nodes))
        if not looked:
            return
        for (request, nodes_now), found in zip(looked, await self._admission.look(looked), strict=True):
            if isinstance(found, Given):
                self.granted(request.attempt.ticket, found.node)
            elif isinstance(found, Lost) and request.attempt.place is not None and not request.attempt.place.done():
                await self._join_again(request, nodes_now or list(request.attempt.offered))
        await self._admission.fill({node for request, _ in looked for node in request.attempt.offered})

    async def _join_again(self, request: Request, nodes: Sequence[str]) -> None:
        """Redis lost what it knew."""
        try:
            answer = await self._admission.admit(request, nodes, taken=True)
        except errors.OllamaMaxError as error:
            if request.attempt.place is not None and not request.attempt.place.done():
                request.attempt.place.set_exception(error)
            return
        if isinstance(answer, Given):
            self.granted(request.attempt.ticket, answer.node)
        _log.warning("joined_queue_again", request=request.id)

    def _no_node(self, request: Request) -> None:
        since = self._without.setdefault(request.attempt.ticket, time.monotonic())
        if (
            time.monotonic() - since > PATIENCE
            and request.attempt.place is not None
            and not request.attempt.place.done()
        ):
            problem = f"No node that has the model '{request.asked.model}' is available any more."
            request.attempt.place.set_exception(errors.Unavailable(problem, retry_after=5, model=request.asked.model))
