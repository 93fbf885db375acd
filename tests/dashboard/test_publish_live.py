"""The frames of the live page, published on real Redis."""

from __future__ import annotations

import asyncio
import time

import redis.asyncio
from channels.layers import get_channel_layer

from dashboard.actions import live
from dashboard.payloads import Frame, Snapshot
from dashboard.queries.live import SERIES_POINTS, snapshot
from ollamamax.bus import keys
from ollamamax.contract.tables import Registered
from ollamamax.kernel.ids import new_id
from tests.dashboard.conftest import Seat, lead, publish
from tests.dashboard.fleet import Fleet


async def test_a_frame_carries_the_nodes_totals_and_requests(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    one, two = fleet.register("alpha"), fleet.register("beta")
    fleet.report(one, running=2, tokens_per_second=10.25)
    fleet.report(two, running=1, waiting=3, tokens_per_second=5.0)
    opened = fleet.admit(one, "alpha")
    settled = fleet.settle(fleet.admit(two, "beta"))

    assert await publish(aclient) == 1
    frame = await seat.frame()

    assert frame.seq == 1
    assert {node.name for node in frame.nodes} == {"alpha", "beta"}
    assert [request.request for request in frame.running] == [opened.request]
    assert frame.running_total == 1
    assert [record.request for record in frame.finished] == [settled.request]
    assert frame.finished[0].completion_tokens == 64
    point = frame.point
    assert (point.nodes, point.nodes_up, point.capacity, point.running, point.waiting) == (2, 2, 8, 3, 3)
    assert point.tokens_per_second == 15.25


async def test_a_frame_says_only_what_changed(fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis) -> None:
    steady, busy = fleet.register("steady"), fleet.register("busy")
    fleet.report(steady)
    fleet.report(busy)
    fleet.settle(fleet.admit(busy, "busy"))
    await publish(aclient)
    await seat.frame()

    fleet.report(busy, running=4)
    await publish(aclient)
    frame = await seat.frame()

    assert frame.seq == 2
    assert [node.name for node in frame.nodes] == ["busy"]
    assert frame.finished == []
    assert frame.gone == []


async def test_a_node_that_falls_silent_is_shown_with_the_time_of_its_last_report(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    last = fleet.report(node)
    await publish(aclient)
    await seat.frame()

    fleet.fall_silent(node)
    await publish(aclient)
    frame = await seat.frame()
    assert frame.nodes[0].state is None
    assert frame.nodes[0].last_seen == last.at
    assert (frame.point.nodes, frame.point.nodes_up) == (1, 0)
    assert frame.point.tokens_per_second is None, "nothing was measured"

    await publish(aclient)
    assert (await seat.frame()).nodes == []
    fresh = await snapshot(aclient, fleet.tenant, time.time())
    assert fresh.nodes[0].last_seen == last.at


async def test_a_node_that_never_reported_has_no_last_time(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    fleet.register("new")
    await publish(aclient)
    frame = await seat.frame()
    assert (frame.nodes[0].state, frame.nodes[0].last_seen) == (None, None)


async def test_a_drained_node_is_said_to_drain_at_once(fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis) -> None:
    node = fleet.register("alpha")
    fleet.report(node)
    await publish(aclient)
    assert not (await seat.frame()).nodes[0].draining
    fleet.drain(node, "alpha")
    await publish(aclient)
    assert (await seat.frame()).nodes[0].draining


async def test_a_removed_node_is_gone_once(fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis) -> None:
    kept, removed = fleet.register("kept"), fleet.register("removed")
    fleet.report(kept)
    fleet.report(removed)
    await publish(aclient)
    await seat.frame()
    fleet.forget(removed)
    await publish(aclient)
    assert (await seat.frame()).gone == [removed]
    await publish(aclient)
    assert (await seat.frame()).gone == []


async def test_a_tenant_without_nodes_gets_frames_while_somebody_looks(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    fleet.watch(time.time() + 5)
    assert await publish(aclient) == 1
    frame = await seat.frame()
    assert (frame.point.nodes, frame.point.running) == (0, None)
    assert await publish(aclient, now=time.time() + 10) == 0, "nobody looks any more"


async def test_nothing_of_another_tenant_is_in_a_frame(fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis) -> None:
    stranger = Fleet(fleet.client, new_id())
    theirs = stranger.register("theirs")
    stranger.report(theirs)
    stranger.settle(stranger.admit(theirs, "theirs"))
    stranger.admit(theirs, "theirs")
    fleet.report(fleet.register("mine"))

    assert await publish(aclient) == 2
    frame = await seat.frame()
    assert [node.name for node in frame.nodes] == ["mine"]
    assert (frame.running, frame.finished, frame.point.nodes) == ([], [], 1)
    fresh = await snapshot(aclient, fleet.tenant, time.time())
    assert [node.name for node in fresh.nodes] == ["mine"]
    assert (fresh.running, fresh.finished) == ([], [])


async def test_a_state_that_cannot_be_read_counts_as_silence(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    bad, good = fleet.register("bad"), fleet.register("good")
    await aclient.set(keys.node_state(bad), b'{"node": 1}')
    fleet.report(good)
    await publish(aclient)
    frame = await seat.frame()
    assert {node.name: node.state is not None for node in frame.nodes} == {"bad": False, "good": True}


async def test_the_directorys_mark_is_no_node(fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis) -> None:
    await aclient.hset(keys.directory("nodes"), "", "complete")
    fleet.report(fleet.register("alpha"))
    await publish(aclient)
    assert (await seat.frame()).point.nodes == 1


async def test_a_request_that_was_settled_twice_is_shown_once(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    opened = fleet.admit(node, "alpha")
    fleet.settle(opened)
    fleet.settle(opened)
    await publish(aclient)
    assert len((await seat.frame()).finished) == 1


async def test_the_series_holds_five_minutes(fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis) -> None:
    fleet.report(fleet.register("alpha"))
    for second in range(SERIES_POINTS + 5):
        await publish(aclient, now=1000.0 + second)
        await seat.frame()
    points = (await snapshot(aclient, fleet.tenant, 2000.0)).series
    assert [point.at for point in points] == [1005.0 + second for second in range(SERIES_POINTS)]


async def test_nothing_is_done_for_a_tenant_that_nobody_watches(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    fleet.report(fleet.register("alpha"))
    fleet.watch(time.time() - 1)
    before = (await aclient.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})["calls"]
    assert await publish(aclient) == 0
    assert (await aclient.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})["calls"] == before
    assert await aclient.get(keys.live_sequence(fleet.tenant)) is None
    fleet.watch()
    assert await publish(aclient) == 1
    assert (await seat.frame()).seq == 1


async def test_a_publisher_whose_lease_was_taken_changes_nothing(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    """It stalls as the leader; another leads; it wakes and must not number a frame."""
    node = fleet.register("alpha")
    fleet.report(node)
    stale = await lead(aclient)
    await lead(aclient)
    lost = await live._publish_tenant(
        aclient,
        get_channel_layer(),
        fleet.tenant,
        {node: Registered(fleet.tenant, "alpha")},
        [],
        read_line=live._once(aclient),
        at=time.time(),
        fence=stale,
    )
    assert lost == 0
    assert await aclient.get(keys.live_sequence(fleet.tenant)) is None
    assert await aclient.llen(keys.live_series(fleet.tenant)) == 0
    await publish(aclient)
    assert (await seat.frame()).seq == 1


async def test_numbers_have_no_hole_and_keep_their_order_while_leaders_follow_each_other(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    layer = get_channel_layer()
    published = 0

    async def publisher(fence: int, established: asyncio.Event) -> None:
        """Leads until another does: in the midst of a frame, for all it knows."""
        nonlocal published
        made = 0
        while await live.publish_live(aclient, layer, fence=fence):
            fleet.report(node)
            published += 1
            made += 1
            if made == 3:
                established.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as leaders:
        for _ in range(8):
            established = asyncio.Event()
            leaders.create_task(publisher(await lead(aclient), established))
            await established.wait()
        await lead(aclient)
    seen = sorted([(await seat.frame()).seq for _ in range(published)])
    assert seen == list(range(1, published + 1))
    assert await aclient.get(keys.live_sequence(fleet.tenant)) == str(published).encode()


async def test_a_snapshot_and_the_frames_after_it_equal_a_fresh_snapshot(
    fleet: Fleet, seat: Seat, aclient: redis.asyncio.Redis
) -> None:
    nodes = {name: fleet.register(name) for name in ("alpha", "beta", "gamma")}
    fleet.report(nodes["alpha"])
    fleet.settle(fleet.admit(nodes["alpha"], "alpha"))
    fleet.ask(nodes["alpha"], "alpha")
    fleet.ask(nodes["alpha"], "alpha")
    await publish(aclient)
    await seat.frame()
    held = await snapshot(aclient, fleet.tenant, time.time())
    assert held.waiting_total == 1

    fleet.report(nodes["beta"])
    fleet.ask(nodes["alpha"], "alpha", priority="high")
    open_one = fleet.admit(nodes["beta"], "beta")
    await publish(aclient)
    fleet.fall_silent(nodes["alpha"])
    fleet.forget(nodes["gamma"])
    fleet.settle(open_one)
    nodes["delta"] = fleet.register("delta")
    fleet.report(nodes["delta"], draining=True)
    fleet.admit(nodes["delta"], "delta")
    await publish(aclient)
    for _ in range(2):
        held = _with(held, await seat.frame())

    _forget_expectations(held)
    fresh = await snapshot(aclient, fleet.tenant, held.at)
    _forget_expectations(fresh)
    held.nodes.sort(key=lambda node: node.id)
    fresh.nodes.sort(key=lambda node: node.id)
    assert held == fresh


def _forget_expectations(shown: Snapshot) -> None:
    """How long the wait may be depends on when it is asked."""
    for request in shown.waiting:
        assert request.expected_wait_ms is not None
        request.expected_wait_ms = None


def _with(held: Snapshot, frame: Frame) -> Snapshot:
    """What `withFrame` in frontend/src/live/state.ts does."""
    assert frame.seq == held.seq + 1
    nodes = {node.id: node for node in [*held.nodes, *frame.nodes] if node.id not in frame.gone}
    fresh = {record.request for record in frame.finished}
    return Snapshot(
        seq=frame.seq,
        at=frame.at,
        tenant=held.tenant,
        nodes=list(nodes.values()),
        running=frame.running,
        running_total=frame.running_total,
        waiting=frame.waiting,
        waiting_total=frame.waiting_total,
        finished=[*frame.finished, *(record for record in held.finished if record.request not in fresh)],
        series=[*held.series, frame.point],
    )
