"""Several answers to one request (``n``, a list of prompts): each is an execution of its own, admitted, run and recorded by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ollamamax.contract import Delta, Final
from ollamamax.gateway import relay
from ollamamax.gateway.asked import Output
from ollamamax.gateway.execution import Execution
from ollamamax.kernel.tasks import end

AT_ONCE = 8
"""Of one request: the others wait, so that a long list of prompts does not take all places of its tenant in the queue."""
_AHEAD = 64
"""How many deltas may wait for a slow client, all choices together."""


async def gather(executions: list[Execution]) -> list[Output]:
    """All answers. Raises what the first that fails raises. Each takes its slot and gives it back by itself: fewer slots than choices only
    make it slower."""
    room = asyncio.Semaphore(AT_ONCE)

    async def answer(execution: Execution) -> Output:
        async with room, execution:
            return await relay.gather(execution)

    tasks = [asyncio.create_task(answer(execution)) for execution in executions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await end(tasks)


async def merged(executions: list[Execution]) -> AsyncGenerator[tuple[int, Delta | Final], None]:
    """What each says as it comes, with its number, and last its end. Raises what the first that fails raises."""
    room = asyncio.Semaphore(AT_ONCE)
    queue: asyncio.Queue[tuple[int, Delta | Final | Exception]] = asyncio.Queue(_AHEAD)

    async def read(index: int, execution: Execution) -> None:
        try:
            async with room, execution:
                while (delta := await execution.next()) is not None:
                    await queue.put((index, delta))
                assert execution.final is not None  # noqa: S101 - next returned None
                await queue.put((index, execution.final))
        except Exception as error:  # noqa: BLE001 - raised by the reader below
            await queue.put((index, error))

    tasks = [asyncio.create_task(read(index, execution)) for index, execution in enumerate(executions)]
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
