"""Requests that wait for a slot, and a node that makes them wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import msgspec

from ollamamax.bus import directory, keys
from ollamamax.contract import Event, Ticket
from tests.fakes.node import FakeNode, echo
from tests.gateway.conftest import Site
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
T = TypeVar("T")

_begun: set[asyncio.Task[Any]] = set()


def begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that is kept until its end, whoever else knows of it."""
    task = asyncio.create_task(work)
    _begun.add(task)
    task.add_done_callback(_begun.discard)
    return task


class Gate:
    """A script that answers when it is opened, one request at each `let`."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(0)
        self.said: list[str] = []

    async def __call__(self, ticket: Ticket) -> AsyncIterator[Event]:
        self.said.append(ticket.inference.messages[-1]["content"])
        await self.places.acquire()
        async for event in echo(ticket):
            yield event

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self.places.release()


async def full(site: Site) -> tuple[Gate, FakeNode]:
    """A node with one slot, which is taken."""
    gate = Gate()
    node = await site.add_node(script=gate, capacity=1)
    await ask(site, "first", wait=False)
    await until(lambda: gate.said == ["first"])
    return gate, node


async def ask(site: Site, content: str, *, wait: bool = True, key: str | None = None, **headers: Any) -> Any:
    body = {"model": "echo", "messages": [{"role": "user", "content": content}]}

    async def post() -> tuple[int, Any, Any]:
        async with site.post("/v1/chat/completions", body, key, headers=headers) as response:
            return response.status, await response.json(), response.headers

    task = begun(post())
    return await task if wait else task


async def queued(site: Site, count: int) -> None:
    await until(lambda: site.client.zcard(keys.WAITING) == count)


def share(site: Site, node: FakeNode) -> None:
    entry = {"tenant": site.tenant, "name": "node-0", "schedulable": True, "shared": True}
    directory.publish(site.client, "nodes", {node.node: msgspec.json.encode(entry)})
