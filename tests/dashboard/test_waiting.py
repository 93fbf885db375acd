"""What the live page is told of those who wait for a slot: real admissions on real Redis."""

from __future__ import annotations

import time
from typing import Any

import pytest_asyncio
import redis.asyncio

from dashboard.queries import waiting
from dashboard.queries.live import shown
from dashboard.rows import node_row
from ollamamax.bus import keys
from ollamamax.contract.tables import Registered
from ollamamax.kernel.ids import new_id
from tests.dashboard.conftest import Reader, publish
from tests.dashboard.fleet import Fleet


@pytest_asyncio.fixture(autouse=True)
async def _watched(fleet: Fleet, aclient: redis.asyncio.Redis) -> None:
    await aclient.zadd(keys.LIVE_WATCHED, {fleet.tenant: time.time() + 60})


async def test_an_event_tells_who_waits_in_the_order_in_which_they_are_served(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node, capacity=1)
    now = time.time()
    fleet.ask(node, "alpha", received_at=now)
    low = fleet.ask(node, "alpha", received_at=now + 0.1, priority="low")
    normal = fleet.ask(node, "alpha", received_at=now + 0.2)
    high = fleet.ask(node, "alpha", received_at=now + 0.3, priority="high")

    await publish(aclient)
    queue, point = await reader.one("queue"), (await reader.one("fleet"))["points"][0]

    assert [(each["request"], each["position"], each["priority"]) for each in queue["waiting"]] == [
        (high.request, 1, "high"),
        (normal.request, 2, "normal"),
        (low.request, 3, "low"),
    ]
    first = queue["waiting"][0]
    assert (first["model"], first["api"], first["received_at"]) == (high.model, high.api, high.received_at)
    assert first["expected_wait_ms"] is None, "nothing of the model has ended"
    assert (queue["waiting_total"], point["queued"]) == (3, 3)


async def test_once_requests_of_the_model_end_the_wait_is_expected(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node, capacity=1)
    running = fleet.ask(node, "alpha")
    fleet.ask(node, "alpha")
    last = fleet.ask(node, "alpha")
    fleet.settle(running)

    await publish(aclient)
    queue, point = await reader.one("queue"), (await reader.one("fleet"))["points"][0]

    assert [(each["request"], each["position"]) for each in queue["waiting"]] == [(last.request, 1)]
    assert queue["waiting"][0]["expected_wait_ms"] is not None
    assert point["queued"] == 1
    assert (await reader.one("requests"))["running_total"] == 1, "the slot went on to whoever was next"


async def test_places_count_everybody_and_nothing_else_of_another_tenant_is_told(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha", shared=True)
    fleet.report(node, capacity=1)
    fleet.ask(node, "alpha")
    mine = fleet.ask(node, "alpha")
    stranger = Fleet(fleet.client, new_id())
    stranger.ask(node, "alpha")

    await publish(aclient)
    queue, point = await reader.one("queue"), (await reader.one("fleet"))["points"][0]

    # The stranger had nothing yet, and comes before whoever had a slot.
    assert [(each["request"], each["position"]) for each in queue["waiting"]] == [(mine.request, 2)]
    assert (queue["waiting_total"], point["queued"]) == (1, 1)


async def test_of_a_long_line_the_first_are_told_and_how_many_there_are(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node, capacity=1)
    asked = [fleet.ask(node, "alpha", received_at=1000.0 + number) for number in range(waiting.SHOWN + 4)]
    await publish(aclient)
    queue = await reader.one("queue")
    assert [each["request"] for each in queue["waiting"]] == [each.request for each in asked[1 : waiting.SHOWN + 1]]
    assert queue["waiting_total"] == waiting.SHOWN + 3


async def test_whoever_begins_to_look_is_told_at_once_of_those_who_wait_and_then_by_events(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node, capacity=1)
    fleet.ask(node, "alpha")
    last = fleet.ask(node, "alpha")
    await aclient.delete(keys.LIVE_WATCHED)
    assert await publish(aclient) == 0
    fleet.watch()
    fresh: Any = (await shown(aclient, fleet.tenant, "queue")).data
    assert [each.request for each in fresh.waiting] == [last.request]
    assert await publish(aclient) == 1
    queue = await reader.one("queue")
    assert [each["request"] for each in queue["waiting"]] == [last.request]
    assert queue["waiting_total"] == 1


async def test_nobody_waits_and_nothing_is_told(fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis) -> None:
    fleet.report(fleet.register("alpha"))
    await publish(aclient)
    queue, point = await reader.one("queue"), (await reader.one("fleet"))["points"][0]
    assert (queue["waiting"], queue["waiting_total"], point["queued"]) == ([], 0, 0)


async def test_a_point_of_a_version_that_did_not_count_is_still_shown(
    fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    old = b'{"at":1.0,"nodes":0,"nodes_up":0,"capacity":null,"running":null,"waiting":null,"tokens_per_second":null}'
    await aclient.rpush(keys.live_series(fleet.tenant), old)
    fresh: Any = (await shown(aclient, fleet.tenant, "fleet")).data
    assert fresh.series[0].queued is None


def test_a_row_of_a_node_has_its_place() -> None:
    entry = Registered("t", "alpha", shared=True, region="eu", labels={"tier": "gold"}, hourly_cost=1.25)
    row = node_row("n", entry, None, None)
    assert (row.shared, row.region, row.labels, row.hourly_cost) == (True, "eu", {"tier": "gold"}, 1.25)
