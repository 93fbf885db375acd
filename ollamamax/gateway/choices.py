"""Several answers to one request (``n``, a list of prompts): each is an execution of its own, admitted, run and recorded by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any, Self

import msgspec

from cluster.dispatch.queue import Tell
from ollamamax.contract import Delta, Final, Inference
from ollamamax.gateway import relay
from ollamamax.gateway.execution import Call, Execution
from ollamamax.gateway.http import Receive
from ollamamax.gateway.relay import Output
from ollamamax.gateway.service import Service
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

AT_ONCE = 8
"""Of one request: the others wait, so that a long list of prompts does not take all places of its tenant in the queue."""
_LARGEST_SEED = (1 << 63) - 1
_AHEAD = 64
"""How many deltas may wait for a slow client, all choices together."""


def several(inference: Inference, count: int) -> list[Inference]:
    """The same request ``count`` times. A seed is counted up, so that the answers differ and can be had again."""
    seed = inference.options.seed
    if seed is None:
        return [msgspec.structs.replace(inference) for _ in range(count)]
    return [
        msgspec.structs.replace(
            inference,
            options=msgspec.structs.replace(
                inference.options, seed=(seed + index) if seed + index <= _LARGEST_SEED else index
            ),
        )
        for index in range(count)
    ]


class Choices:
    """``async with`` watches for the client to leave.

    Each choice takes its slot and gives it back by itself: fewer slots than choices only make it slower.
    """

    def __init__(
        self,
        service: Service,
        call: Call,
        model: str,
        inferences: list[Inference],
        receive: Receive,
        tell: Tell | None = None,
    ) -> None:
        if len(inferences) > 1:
            # Some of them may have a slot when others have waited for too long: they wait without being left for another model.
            call = msgspec.structs.replace(call, tried_until=None)
        self._receive = receive
        self._gone: asyncio.Task[MutableMapping[str, Any]] | None = None
        self.executions = []
        for index, inference in enumerate(inferences):
            own = call if index == 0 else msgspec.structs.replace(call, id=new_id())
            # One voice is enough for a client that waits.
            said = tell if index == 0 else None
            self.executions.append(service.execution(own, model, inference, self._told, tell=said, whole=tell is None))
        self._room = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        self._gone = asyncio.create_task(_gone(self._receive))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._gone is not None:
            await end([self._gone])

    async def _told(self) -> MutableMapping[str, Any]:
        assert self._gone is not None  # noqa: S101 - entered before
        return await asyncio.shield(self._gone)

    async def gather(self) -> list[Output]:
        """All answers. Raises what the first that fails raises."""

        async def answer(execution: Execution) -> Output:
            async with self._room, execution:
                return await relay.gather(execution)

        tasks = [asyncio.create_task(answer(execution)) for execution in self.executions]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            await end(tasks)

    async def merged(self) -> AsyncGenerator[tuple[int, Delta | Final], None]:
        """What each says as it comes, with its number, and last its end. Raises what the first that fails raises."""
        queue: asyncio.Queue[tuple[int, Delta | Final | Exception]] = asyncio.Queue(_AHEAD)

        async def read(index: int, execution: Execution) -> None:
            try:
                async with self._room, execution:
                    while (delta := await execution.next()) is not None:
                        await queue.put((index, delta))
                    assert execution.final is not None  # noqa: S101 - next returned None
                    await queue.put((index, execution.final))
            except Exception as error:  # noqa: BLE001 - raised by the reader below
                await queue.put((index, error))

        tasks = [asyncio.create_task(read(index, execution)) for index, execution in enumerate(self.executions)]
        open_ = len(tasks)
        try:
            while open_:
                index, event = await queue.get()
                if isinstance(event, Exception):
                    raise event
                open_ -= isinstance(event, Final)
                yield index, event
        finally:
            await end(tasks)


async def _gone(receive: Receive) -> MutableMapping[str, Any]:
    """The one reader of the client's messages, for all executions."""
    while (message := await receive())["type"] != "http.disconnect":
        continue
    return message
