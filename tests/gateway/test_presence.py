"""A node that is killed is missed within two seconds; one that lives, however poorly, is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from cluster.fleet import fleet as fleets
from cluster.fleet import presence
from cluster.fleet.fleet import STATE_LIFETIME
from cluster.fleet.presence import SILENCE
from ollamamax.bus import keys
from ollamamax.contract import Delta, Event, Final, Ticket
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site
from tests.gateway.test_recovery import _ask, _goes_on, _stream, _tells_a_little
from tests.patience import BUSY, until


@pytest.fixture
def silence_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what else tells of a death can do so in the time of these tests, however slow the machine."""
    monkeypatch.setattr(fleets, "STATE_LIFETIME", 60.0)
    monkeypatch.setattr(fleets, "LEAST_SILENCE", 60.0)
    monkeypatch.setattr(FakeNode, "state_lifetime", 60.0)


@pytest.mark.usefixtures("silence_proves_nothing")
async def test_the_death_of_a_node_is_seen_by_its_connections(site: Site) -> None:
    first, second = await site.add_node(), await site.add_node()
    fleet = (await site.gateway.start()).dispatcher.fleet
    site.client.set(keys.node_brief(first.node), "as real ones write it with their state")
    await first.kill()
    killed = time.monotonic()
    await until(lambda: not fleet.alive(first.node))
    assert time.monotonic() - killed < SILENCE + 1.0 + BUSY
    assert fleet.alive(second.node)
    await until(lambda: not site.client.exists(keys.node_state(first.node), keys.node_brief(first.node)))
    assert (await _ask(site))[0] == 200


@pytest.mark.usefixtures("silence_proves_nothing")
async def test_a_killed_node_is_given_nothing_new_before_it_counts_as_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "SILENCE", 60.0)
    first, second = await site.add_node(), await site.add_node()
    fleet = (await site.gateway.start()).dispatcher.fleet
    await first.kill()
    await until(lambda: fleet.is_suspected(first.node))
    assert fleet.alive(first.node)
    for _ in range(8):
        assert (await _ask(site))[0] == 200
    assert (len(first.tickets), len(second.tickets)) == (0, 8)


@pytest.mark.usefixtures("silence_proves_nothing")
async def test_a_node_that_speaks_after_it_lost_its_control_connection_is_sent_requests(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "SILENCE", 60.0)
    node = await site.add_node()
    fleet = (await site.gateway.start()).dispatcher.fleet
    node._tasks[2].cancel()
    await until(lambda: site.client.pubsub_numsub(keys.node_control(node.node))[0][1] == 0)
    heard = fleet.seen(node.node)
    await until(lambda: fleet.seen(node.node) > heard + 0.5)
    # It stays so at each look until the next word comes.
    heard = fleet.seen(node.node)
    while fleet.seen(node.node) == heard:
        assert not fleet.is_suspected(node.node)
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("silence_proves_nothing")
async def test_a_stream_goes_on_within_three_seconds(site: Site) -> None:
    first = await site.add_node(script=_tells_a_little)
    body = {"model": "echo", "messages": [{"role": "user", "content": "count"}]}
    answering = asyncio.create_task(_stream(site, "/api/chat", body, first))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    await until(lambda: first.dead)
    killed = time.monotonic()
    await answering
    assert (len(second.tickets), time.monotonic() - killed < 3.0 + BUSY) == (1, True)


async def test_a_node_that_says_how_it_is_lives_though_nobody_listens_to_it(site: Site) -> None:
    node = await site.add_node()
    fleet = (await site.gateway.start()).dispatcher.fleet
    node._tasks[2].cancel()
    await until(lambda: site.client.pubsub_numsub(keys.node_control(node.node))[0][1] == 0)
    end = time.monotonic() + SILENCE + 1.0
    while time.monotonic() < end:
        assert fleet.alive(node.node)
        await asyncio.sleep(0.05)


async def test_a_silent_node_that_listens_is_left_its_time(site: Site) -> None:
    node = await site.add_node()
    fleet = (await site.gateway.start()).dispatcher.fleet
    node._tasks[0].cancel()
    await node.say()
    silent = time.monotonic()
    await until(lambda: not fleet.alive(node.node))
    assert time.monotonic() - silent > 3.0


async def test_nobody_dies_while_redis_says_nothing(site: Site) -> None:
    async def slowly(ticket: Ticket) -> AsyncIterator[Event]:
        for number in range(60):
            yield Delta(text=f"{number} ", tokens=1)
            await asyncio.sleep(0.1)
        yield Final("stop", prompt_tokens=1, completion_tokens=60)

    await site.add_node(script=slowly)
    body = {"model": "echo", "messages": [{"role": "user", "content": "count"}]}
    async with site.post("/api/chat", body) as response:
        await response.content.readany()
        site.client.client_pause(round(STATE_LIFETIME * 1000) + 500)
        text = await response.text()
    assert '"59 "' in text
    await until(lambda: [each["outcome"] for each in site.usage()] == ["ok"])
