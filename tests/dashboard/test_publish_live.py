"""The events of the live topics, published on real Redis."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import msgspec
import pytest
import redis.asyncio

from dashboard.actions import live
from dashboard.folding import folded
from dashboard.queries.live import SERIES_POINTS, node_details, shown
from dashboard.queries.live import said as said_last
from dashboard.topics import PUBLISHED
from ollamamax.bus import keys
from ollamamax.contract import Gpu, ModelState
from ollamamax.kernel.ids import new_id
from tests.dashboard.conftest import Reader, applied, lead, publish
from tests.dashboard.fleet import VERSION, Fleet
from tests.patience import LONG


async def test_the_first_events_tell_nodes_totals_models_and_requests_whole(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    one, two = fleet.register("alpha"), fleet.register("beta")
    fleet.report(one, running=2, tokens_per_second=10.25)
    fleet.report(two, running=1, waiting=3, tokens_per_second=5.0)
    opened = fleet.admit(one, "alpha")
    settled = fleet.settle(fleet.admit(two, "beta"))

    assert await publish(aclient) == 1

    nodes = await reader.one("nodes")
    assert nodes["whole"]
    assert {row["name"]: row["state"] for row in nodes["changed"].values()} == {"alpha": "ready", "beta": "ready"}
    requests = await reader.one("requests")
    assert [each["request"] for each in requests["running"]] == [opened.request]
    assert requests["running_total"] == 1
    assert [each["request"] for each in requests["finished"]] == [settled.request]
    assert requests["finished"][0]["completion_tokens"] == 64
    (point,) = (await reader.one("fleet"))["points"]
    assert (point["nodes"], point["nodes_up"], point["capacity"], point["running"], point["waiting"]) == (2, 2, 8, 3, 3)
    assert point["tokens_per_second"] == 15.25
    (model,) = (await reader.one("models"))["changed"].values()
    assert (model["name"], model["nodes"], model["loaded"], model["running"]) == ("smollm2:135m", 2, 2, 1)


async def test_later_events_tell_the_fields_that_changed_and_nothing_else(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    steady, busy = fleet.register("steady"), fleet.register("busy")
    fleet.report(steady)
    fleet.report(busy)
    await publish(aclient)
    await reader.news("nodes")
    await reader.news("requests")

    fleet.report(steady)
    fleet.report(busy, running=4, cpu_percent=91.7)
    await publish(aclient)
    assert (await reader.one("nodes"))["changed"] == {busy: {"running": 4, "cpu_percent": 92}}
    assert await reader.news("requests") == []
    assert await reader.news("queue") != [], "the first of them was told whole"

    fleet.report(steady)
    fleet.report(busy, running=4, cpu_percent=91.9)
    await publish(aclient)
    assert await reader.news("nodes") == [], "nobody would see the difference"
    assert await reader.news("queue") == []
    assert len(await reader.news("fleet")) == 3


async def test_a_thousand_nodes_that_all_change_are_told_in_little(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    nodes = [fleet.register(f"node-{number:04}") for number in range(1000)]
    chance = random.Random(7)

    def report() -> None:
        for node in nodes:
            fleet.report(node, running=chance.randint(0, 4), cpu_percent=chance.uniform(0, 100))

    report()
    await publish(aclient)
    await reader.news("nodes")
    report()
    await publish(aclient)
    told = msgspec.json.encode(await reader.one("nodes"))
    assert len(told) < 100_000


async def test_a_node_that_falls_silent_is_shown_with_the_time_of_its_last_report(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    last = fleet.report(node)
    await publish(aclient)
    await reader.news("nodes")
    fleet.fall_silent(node)
    await publish(aclient)
    row = (await reader.one("nodes"))["changed"][node]
    assert (row["state"], row["last_seen"], row["running"]) == ("silent", last.at, None)
    point = (await reader.news("fleet"))[-1]["points"][0]
    assert (point["nodes"], point["nodes_up"], point["tokens_per_second"]) == (1, 0, None)
    # Nobody watches for a while; then it is still known.
    await aclient.delete(keys.live_mark(fleet.tenant, "fleet"))
    fresh: Any = (await shown(aclient, fleet.tenant, "nodes")).data
    assert fresh.nodes[0].last_seen == last.at
    details = await node_details(aclient, fleet.tenant, [node])
    assert (details.nodes[0].state, details.nodes[0].last_seen) == (None, last.at)


async def test_a_drained_node_is_said_to_drain_and_a_removed_one_to_be_gone(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    kept, removed = fleet.register("kept"), fleet.register("removed")
    fleet.report(kept)
    fleet.report(removed)
    await publish(aclient)
    await reader.news("nodes")
    fleet.drain(kept, "kept")
    fleet.forget(removed)
    await publish(aclient)
    event = await reader.one("nodes")
    assert (event["changed"], event["gone"], event["total"]) == ({kept: {"state": "draining"}}, [removed], 1)


async def test_gpus_are_summed_and_what_is_not_told_stays_unknown(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    gpus = [
        Gpu(0, "H200", load_percent=20.0, memory_used=10, memory_total=100, temperature_celsius=51.2),
        Gpu(1, "H200", load_percent=97.4, memory_used=90, memory_total=100),
        Gpu(2, "other"),
    ]
    fleet.report(node, gpus=gpus)
    await publish(aclient)
    row = (await reader.one("nodes"))["changed"][node]
    assert row["gpu"] == {
        "count": 3,
        "load_percent": 97,
        "temperature_celsius": 51,
        "memory_used": 100,
        "memory_total": 200,
    }


async def test_a_model_on_its_way_is_told_with_its_bytes(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    for number, name in enumerate(("alpha", "beta")):
        coming = ModelState(VERSION, "big:70b", "fetching", "llamacpp", size=100, bytes_done=10 + number)
        fleet.report(fleet.register(name), models=[coming])
    await publish(aclient)
    row = (await reader.one("models"))["changed"]["big:70b"]
    assert (row["nodes"], row["fetching"], row["bytes_done"], row["bytes_total"]) == (2, 2, 21, 200)


async def test_nothing_of_another_tenant_is_told(fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis) -> None:
    stranger = Fleet(fleet.client, new_id())
    theirs = stranger.register("theirs")
    stranger.report(theirs)
    stranger.settle(stranger.admit(theirs, "theirs"))
    stranger.admit(theirs, "theirs")
    mine = fleet.register("mine")
    fleet.report(mine)

    assert await publish(aclient) == 2
    assert set((await reader.one("nodes"))["changed"]) == {mine}
    requests = await reader.one("requests")
    assert (requests["running"], requests["finished"]) == ([], [])
    for topic in PUBLISHED:
        fresh = msgspec.json.encode((await shown(aclient, fleet.tenant, topic)).data)
        assert b"theirs" not in fresh
        assert theirs.encode() not in fresh
    assert (await node_details(aclient, fleet.tenant, [theirs, mine])).gone == [theirs]


async def test_a_state_that_cannot_be_read_counts_as_silence(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    bad, good = fleet.register("bad"), fleet.register("good")
    await aclient.set(keys.node_state(bad), b'{"node": 1}')
    await aclient.hset(keys.directory("nodes"), "", "complete")
    fleet.report(good)
    await publish(aclient)
    rows = (await reader.one("nodes"))["changed"]
    assert {row["name"]: row["state"] for row in rows.values()} == {"bad": "silent", "good": "ready"}


async def test_a_request_that_was_settled_twice_is_shown_once(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    opened = fleet.admit(node, "alpha")
    fleet.settle(opened)
    fleet.settle(opened)
    await publish(aclient)
    assert len((await reader.one("requests"))["finished"]) == 1


async def test_the_series_holds_five_minutes(fleet: Fleet, aclient: redis.asyncio.Redis) -> None:
    fleet.report(fleet.register("alpha"))
    for second in range(SERIES_POINTS + 5):
        await publish(aclient, now=1000.0 + second)
    fresh: Any = (await shown(aclient, fleet.tenant, "fleet")).data
    assert [point.at for point in fresh.series] == [1005.0 + second for second in range(SERIES_POINTS)]


async def test_nothing_is_done_for_a_tenant_that_nobody_watches(fleet: Fleet, aclient: redis.asyncio.Redis) -> None:
    fleet.report(fleet.register("alpha"))
    fleet.watch(time.time() - 1)
    before = (await aclient.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})["calls"]
    assert await publish(aclient) == 0
    assert (await aclient.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})["calls"] == before
    assert await aclient.hgetall(keys.live_numbers(fleet.tenant)) == {}
    fleet.watch()
    assert await publish(aclient) == 1


@pytest.mark.parametrize("publishing", [live.publish_live, live.publish_requests])
async def test_a_publisher_whose_lease_was_taken_changes_nothing(
    fleet: Fleet, aclient: redis.asyncio.Redis, publishing: Any
) -> None:
    """It stalls as the leader; another leads; it wakes and must not number an event."""
    fleet.report(fleet.register("alpha"))
    stale = await lead(aclient)
    await lead(aclient)
    before = await aclient.keys("omx:live:*")
    assert await publishing(aclient, fence=stale) == 0
    assert await aclient.keys("omx:live:*") == before


async def test_differences_are_not_published_once_what_they_build_on_has_lapsed(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    """Whoever began to look in between was shown the present: a difference to the past would leave them wrong."""
    node = fleet.register("alpha")
    fleet.report(node, running=1)
    await publish(aclient)
    said = await said_last(aclient, fleet.tenant, "fleet")
    assert said.fresh
    await aclient.delete(keys.live_mark(fleet.tenant, "fleet"))
    fleet.report(node, running=2)
    await reader.begin()
    assert reader.held["nodes"]["rows"][node]["running"] == 2
    fleet.report(node, running=1)
    await publish(aclient)
    assert (await reader.one("nodes"))["whole"]
    assert reader.held["nodes"]["rows"][node]["running"] == 1


async def test_numbers_have_no_hole_while_leaders_follow_each_other_and_after_redis_lost_them(
    fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    published = 0

    async def publisher(fence: int, established: asyncio.Event) -> None:
        """Leads until another does: in the midst of an event, for all it knows."""
        nonlocal published
        made = 0
        while await live.publish_live(aclient, fence=fence):
            fleet.report(node)
            published += 1
            made += 1
            if made == 3:
                established.set()

    async with asyncio.timeout(LONG), asyncio.TaskGroup() as leaders:
        for _ in range(8):
            established = asyncio.Event()
            leaders.create_task(publisher(await lead(aclient), established))
            await established.wait()
        await lead(aclient)
    events = await aclient.xrange(keys.live_events(fleet.tenant, "fleet"), "-", "+")
    numbers = [int(id_.partition(b"-")[0]) for id_, _ in events]
    assert numbers == list(range(numbers[0], numbers[0] + min(published, 60)))
    await aclient.flushdb()
    fleet.watch()
    await publish(aclient)
    assert int((await aclient.hgetall(keys.live_numbers(fleet.tenant)))[b"fleet"]) > numbers[-1]


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_shown_and_the_events_after_it_equal_what_is_shown_now(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis, seed: int
) -> None:
    """Whatever happens, whenever one begins to read, whether each event is taken alone or several at once."""
    chance = random.Random(seed)
    nodes = {name: fleet.register(name) for name in ("alpha", "beta", "gamma")}
    opened: list[tuple[str, Any]] = []
    began = chance.randint(0, 10)
    kept: dict[str, list[bytes]] = {topic: [] for topic in PUBLISHED}
    for step in range(25):
        for _ in range(chance.randint(0, 4)):
            name = chance.choice(list(nodes) or ["new"])
            act = chance.choice(["report", "report", "silent", "forget", "join", "admit", "settle", "drain", "lapse"])
            if act == "join" or name not in nodes:
                name = f"node-{step}"
                nodes[name] = fleet.register(name, region=chance.choice(["", "eu"]))
            elif act == "report":
                fleet.report(nodes[name], running=chance.randint(0, 4), draining=chance.random() < 0.2)
            elif act == "silent":
                fleet.fall_silent(nodes[name])
            elif act == "forget":
                fleet.forget(nodes.pop(name))
            elif act == "drain":
                fleet.drain(nodes[name], name)
            elif act == "admit":
                opened.append((name, fleet.admit(nodes[name], name, received_at=time.time())))
            elif act == "settle" and opened:
                fleet.settle(opened.pop(chance.randrange(len(opened)))[1])
            elif act == "lapse":
                await aclient.delete(*(keys.live_mark(fleet.tenant, part) for part in ("fleet", "requests")))
        if step == began:
            await reader.begin()
            start = {topic: dict(held) for topic, held in reader.held.items()}
        await publish(aclient)
        if step >= began:
            for topic in PUBLISHED:
                kept[topic] += [msgspec.json.encode(event) for event in await reader.news(topic)]
    for topic in PUBLISHED:
        fresh = applied(topic, None, msgspec.to_builtins((await shown(aclient, fleet.tenant, topic)).data))
        at_once = applied(topic, start[topic], msgspec.json.decode(folded(topic, kept[topic]))) if kept[topic] else None
        for held in (reader.held[topic], at_once or reader.held[topic]):
            if topic == "queue":
                assert held["waiting_total"] == fresh["waiting_total"]
            elif topic == "requests":
                assert (held["running"], held["total"]) == (fresh["running"], fresh["total"])
                assert [each["request"] for each in held["finished"]][:100] == [
                    each["request"] for each in fresh["finished"]
                ]
            else:
                assert held == fresh, topic
