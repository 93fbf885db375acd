"""Clients that others made, unmodified, against a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from cluster.dispatch import queue
from cluster.dispatch.queue_position import Outlook
from ollamamax.contract import Delta, Event, Final, Ticket
from ollamamax.gateway import relay
from tests.fakes.node import echo
from tests.gateway.conftest import Site, site, stranger
from tests.gateway.scripts import breaks_late, calls_a_tool, describes, embeds, remembers

__all__ = ["site", "stranger"]


async def endless(ticket: Ticket) -> AsyncIterator[Event]:
    while True:
        yield Delta(text="x ", tokens=1)
        await asyncio.sleep(0.01)


async def answers_in_json(ticket: Ticket) -> AsyncIterator[Event]:
    yield Delta(text='{"colour":', tokens=1)
    yield Delta(text=' "blue"}', tokens=1)
    yield Final("stop", prompt_tokens=3, completion_tokens=2)


async def calls_what_it_must(ticket: Ticket) -> AsyncIterator[Event]:
    """The tool that the request names, or the only one; some clients have structured output so."""
    must = ticket.inference.tool_choice
    name = (must if isinstance(must, dict) else ticket.inference.tools[0])["function"]["name"]
    arguments = '{"a": 1}' if name == "sum" else '{"colour": "blue"}'
    yield Delta(
        tokens=5, tool_calls=[{"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}]
    )
    yield Final("tool_calls", prompt_tokens=3, completion_tokens=5)


async def anything(ticket: Ticket) -> AsyncIterator[Event]:
    """A node that can do all that a request may ask for; what the last message says chooses among the rest."""
    asked = ticket.inference
    last = asked.messages[-1] if asked.messages else {}
    said = last.get("content")
    if asked.kind in {"embed", "show"}:
        script = embeds if asked.kind == "embed" else describes
    elif not asked.messages and not asked.prompt:
        script = remembers
    elif said in {"endless", "breaks late"}:
        script = endless if said == "endless" else breaks_late
    elif asked.tools and last.get("role") != "tool":
        script = calls_what_it_must if asked.tool_choice not in (None, "auto") else calls_a_tool
    else:
        script = answers_in_json if asked.format else echo
    async for event in script(ticket):
        yield event


@dataclass
class Crowd:
    """One node with one slot, which somebody has; those who wait hear a sign of life every fifth of a second.

    ``leave`` gives the slot up; `heard` returns when so many signs were sent.
    """

    signs: int = 0
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self) -> None:
        self.signs += 1
        self._more.set()

    async def heard(self, signs: int) -> None:
        async with asyncio.timeout(30):
            while self.signs < signs:
                self._more.clear()
                await self._more.wait()

    async def holds(self, ticket: Ticket) -> AsyncIterator[Event]:
        script = echo
        if ticket.inference.messages[-1]["content"] == "hold":
            await self.leave.wait()
        async for event in script(ticket):
            yield event


@pytest.fixture
async def crowd(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crowd]:
    monkeypatch.setattr(queue, "FIRST_WORD", 0.2)
    monkeypatch.setattr(queue, "EACH", 0.2)
    made = Crowd()
    tell = relay.Opening.tell

    async def counted(self: relay.Opening, outlook: Outlook | None) -> None:
        await tell(self, outlook)
        made.count()

    monkeypatch.setattr(relay.Opening, "tell", counted)
    node = await site.add_node(script=made.holds, capacity=1)
    holding = asyncio.create_task(_hold(site))
    async with asyncio.timeout(10):
        while not node.tickets:
            await asyncio.sleep(0.01)
    yield made
    made.leave.set()
    with contextlib.suppress(asyncio.CancelledError):
        await holding


async def _hold(site: Site) -> None:
    body = {"model": "echo", "stream": False, "messages": [{"role": "user", "content": "hold"}]}
    async with site.post("/api/chat", body) as response:
        await response.read()
