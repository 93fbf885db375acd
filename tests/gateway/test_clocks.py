"""Clocks that differ: no request ends for that, and no node looks free for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ollamamax.bus import clock, keys
from ollamamax.contract import Event, Failure, Ticket
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.gateway.waiting import ASK, full
from tests.patience import until


async def _by_its_clock(ticket: Ticket) -> AsyncIterator[Event]:
    """As a node of an older version does, 700 s ahead."""
    if ticket.deadline < time.time() + 700:
        yield Failure("deadline_exceeded", "The request's time ran out on the node.", 504)
        return
    async for event in echo(ticket):
        yield event


async def _post(site: Site, **more: Any) -> int:
    async with site.post("/v1/chat/completions", {**ASK, **more}) as response:
        await response.read()
        return int(response.status)


async def test_a_node_that_fails_at_once_does_not_draw_requests(site: Site) -> None:
    wrong = await site.add_node(script=_by_its_clock, capacity=8)
    right = await site.add_node(capacity=8)
    statuses = [await _post(site) for _ in range(30)]
    assert statuses == [200] * 30
    assert len(right.tickets) == 30
    # Now and then one request tries whether it is well again.
    assert len(wrong.tickets) <= 3


async def test_a_time_that_is_really_over_is_told_as_that(site: Site) -> None:
    async def waits(ticket: Ticket) -> AsyncIterator[Event]:
        await asyncio.sleep(3600)
        yield Failure("never", "")

    node = await site.add_node(script=waits)
    async with site.post("/v1/chat/completions", ASK, headers={"x-ollamamax-timeout": "0.3"}) as response:
        assert response.status == 504
    assert len(node.tickets) == 1


@pytest.mark.parametrize("ahead", [700.0, -700.0])
async def test_times_are_told_by_one_clock(site: Site, ahead: float) -> None:
    node = await site.add_node()
    node.ahead = ahead
    assert await _post(site) == 200
    await until(lambda: len(site.usage()) == 1)
    (record,) = site.usage()
    assert 0 <= record["queue_ms"] < record["duration_ms"]
    assert abs(record["route"]["attempts"][0]["started_at"] - time.time()) < 60
    assert 0 < (node.tickets[0].left or 0) <= 120


async def test_a_gateway_whose_clock_is_wrong_has_its_requests_wait_as_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, _ = await full(site)
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() - 700)
    asking = asyncio.create_task(_post(site))
    await until(lambda: site.client.zcard(keys.WAITING) == 1)
    gate.let(2)
    assert await asking == 200


async def test_a_key_ends_by_the_clock_that_all_share(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_ahead", 0.0)
    await site.add_node()
    true = time.time
    works = await site.issue_key(site.tenant, expires_at=true() + 300)
    over = await site.issue_key(site.tenant, expires_at=true() - 1)
    monkeypatch.setattr(time, "time", lambda: true() + 700)
    await until(lambda: clock.now() < true() + 60)
    async with site.post("/v1/chat/completions", ASK, works) as response:
        assert response.status == 200
    async with site.post("/v1/chat/completions", ASK, over) as response:
        assert response.status == 401
