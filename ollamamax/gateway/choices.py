"""Several answers to one request (``n``): each is an execution of its own, admitted, run and recorded by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from dataclasses import replace
from typing import Any

import msgspec

from cluster.wire import Delta, Final, Inference
from ollamamax.gateway import relay
from ollamamax.gateway.execution import Call, Execution
from ollamamax.gateway.http import Receive
from ollamamax.gateway.relay import Output
from ollamamax.gateway.service import Service
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

_AHEAD = 64
"""How many deltas may wait for a slow client, all choices together."""


@contextlib.asynccontextmanager
async def choices(
    service: Service, call: Call, model: str, inference: Inference, receive: Receive, count: int
) -> AsyncIterator[list[Execution]]:
    """``count`` admitted executions, or none. A seed is counted up, so that the answers differ and can be had again."""
    gone = asyncio.create_task(_gone(receive))

    async def told() -> MutableMapping[str, Any]:
        return await asyncio.shield(gone)

    try:
        async with contextlib.AsyncExitStack() as stack:
            made = []
            for index in range(count):
                options = inference.options
                if options.seed is not None:
                    options = msgspec.structs.replace(options, seed=options.seed + index)
                own = call if index == 0 else replace(call, id=new_id())
                asked = msgspec.structs.replace(inference, options=options)
                made.append(await stack.enter_async_context(service.execution(own, model, asked, told)))
            yield made
    finally:
        await end([gone])


async def _gone(receive: Receive) -> MutableMapping[str, Any]:
    """The one reader of the client's messages, for all executions."""
    while (message := await receive())["type"] != "http.disconnect":
        continue
    return message


async def gather(executions: list[Execution]) -> list[Output]:
    """All answers. Raises what the first that fails raises."""
    tasks = [asyncio.create_task(relay.gather(execution)) for execution in executions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await end(tasks)


async def merged(executions: list[Execution]) -> AsyncGenerator[tuple[int, Delta | Final], None]:
    """What each says as it comes, with its number, and last its end. Raises what the first that fails raises."""
    queue: asyncio.Queue[tuple[int, Delta | Final | Exception]] = asyncio.Queue(_AHEAD)

    async def read(index: int, execution: Execution) -> None:
        try:
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
