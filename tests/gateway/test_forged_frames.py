"""A node that writes frames into the ticket of another is not heard, whenever it does so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ollamamax.bus import keys
from ollamamax.contract import Delta, Event, Failure, Final, Frame, Ticket, encode_frames
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "Say it."}], "stream": False}
LIES: dict[str, list[Event]] = {
    "more output": [Delta(text="forged", tokens=1)],
    "an end": [Delta(text="forged", tokens=1), Final("stop", prompt_tokens=1, completion_tokens=1)],
    "a failure": [Failure("engine_failed", "forged", 502)],
}


def forge(site: Site, liar: FakeNode, ticket: str, gateway: str, first: int, events: list[Event]) -> None:
    """What a node's Redis user may do: publish on its own channel to this gateway."""
    heard = site.client.publish(keys.tokens(liar.node, gateway), encode_frames([Frame(ticket, first, events)]))
    assert heard == 1


async def heard(site: Site, liar: FakeNode, gateway: str) -> None:
    """Wait until the gateway has read all that the liar wrote: what comes last, a ticket of nobody, it is told to stop."""
    forge(site, liar, "nobody.1", gateway, 0, LIES["more output"])
    await until(lambda: any(control.ticket == "nobody.1" for control in liar.controls))


async def _asked(site: Site) -> tuple[int, Any]:
    async with site.post("/api/chat", ASK) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("lie", LIES)
async def test_a_node_cannot_write_into_the_running_ticket_of_another(site: Site, lie: str) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(text="the ", tokens=1)
        begun.set()
        await finish.wait()
        yield Delta(text="truth", tokens=1)
        yield Final("stop", prompt_tokens=3, completion_tokens=2)

    honest = await site.add_node(script=slow)
    asking = asyncio.create_task(_asked(site))
    await begun.wait()
    liar = await site.add_node()
    [ticket] = honest.tickets
    # Started and the first word are 0 and 1: what comes next is 2, and what came can be said again.
    for first in (2, 0):
        forge(site, liar, ticket.id, ticket.gateway, first, LIES[lie])
    await heard(site, liar, ticket.gateway)
    finish.set()
    status, answer = await asking
    assert (status, answer["message"]["content"]) == (200, "the truth")
    assert not [control for control in honest.controls if control.verb == "cancel"]
    await until(lambda: len(site.usage()) == 1)
    [record] = site.usage()
    assert (record["node"], record["outcome"], record["completion_tokens"]) == (honest.node, "ok", 2)


@pytest.mark.parametrize("lie", LIES)
async def test_a_node_that_gave_up_a_request_cannot_answer_the_attempt_that_waits_for_another(
    site: Site, lie: str
) -> None:
    """It knows the request, so it can tell what the next ticket will be called."""
    finish = asyncio.Event()

    async def truth(ticket: Ticket) -> AsyncIterator[Event]:
        await finish.wait()
        yield Delta(text="the truth", tokens=1)
        yield Final("stop", prompt_tokens=3, completion_tokens=1)

    async def gives_up(ticket: Ticket) -> AsyncIterator[Event]:
        yield Failure("engine_failed", "broken", 502)

    honest = await site.add_node(script=truth, capacity=1)
    occupying = asyncio.create_task(_asked(site))
    await until(lambda: len(honest.tickets) == 1)
    liar = await site.add_node(script=gives_up)
    asking = asyncio.create_task(_asked(site))
    await until(lambda: len(liar.tickets) == 1 and bool(site.client.zcard(keys.WAITING)))
    [given] = liar.tickets
    request, attempt = given.id.split(".")
    for following in range(int(attempt), int(attempt) + 3):
        forge(site, liar, f"{request}.{following}", given.gateway, 0, LIES[lie])
    await heard(site, liar, given.gateway)
    finish.set()
    for status, answer in await asyncio.gather(occupying, asking):
        assert (status, answer["message"]["content"]) == (200, "the truth")
