"""The topics `health` and `system`: what the control plane judges, told when it changes, to those who may know."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
import redis.asyncio

from cluster.health.judge import SYSTEM
from dashboard.folding import folded
from dashboard.queries.live import shown
from dashboard.subscriptions import may_subscribe
from dashboard.topics import TOPICS
from ollamamax.bus import keys
from ollamamax.contract.health import Counts, Finding, FleetHealth, ModelHealth, NodeHealth, encode_health
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.principal import Principal
from tests.dashboard.conftest import Reader, applied, publish
from tests.dashboard.fleet import Fleet

HOT = Finding("gpu_hot", "warning", "GPU 0 is at 91 °C.", 10.0)
SILENT = Finding("node_silent", "critical", "It has said nothing for 20 s.", 20.0)


async def report(
    client: redis.asyncio.Redis, tenant: str, nodes: dict[str, list[Finding]], at: float | None = None, **more: Any
) -> None:
    moment = time.time() if at is None else at
    judged = {node: NodeHealth(f"node {node[-4:]}", "degraded", findings) for node, findings in nodes.items()}
    told = FleetHealth(moment, "degraded" if nodes else "healthy", Counts(nodes=3), judged, **more)
    await client.hset(
        keys.HEALTH,
        mapping={tenant: encode_health(told), SYSTEM: encode_health(FleetHealth(moment, "healthy", Counts()))},
    )


async def test_findings_are_told_whole_at_first_and_then_as_they_change(
    fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis
) -> None:
    one, two = new_id(), new_id()
    await report(aclient, fleet.tenant, {one: [HOT]}, models={"m:1": ModelHealth("degraded", [HOT], id=two)})
    await publish(aclient)
    first = await reader.one("health")
    assert first["whole"]
    assert {(row["kind"], row["id"], row["text"]) for row in first["changed"].values()} == {
        ("node", one, HOT.text),
        ("model", two, HOT.text),
    }
    await report(aclient, fleet.tenant, {one: [HOT]}, models={"m:1": ModelHealth("degraded", [HOT], id=two)})
    await publish(aclient)
    assert await reader.news("health") == [], "judged again, and nothing is new"
    hotter = msgspec.structs.replace(HOT, text="GPU 0 is at 95 °C.")
    await report(aclient, fleet.tenant, {one: [hotter], two: [SILENT]})
    await publish(aclient)
    change = await reader.one("health")
    assert {row["text"] for row in change["changed"].values()} == {hotter.text, SILENT.text}
    assert len(change["gone"]) == 1
    assert not change["whole"]


async def test_a_snapshot_and_the_events_after_it_equal_a_fresh_snapshot_however_they_are_folded(
    fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    nodes = [new_id() for _ in range(4)]
    await publish(aclient)
    begun = await shown(aclient, fleet.tenant, "health")
    for number in range(6):
        found = {node: [HOT, SILENT][: 1 + number % 2] for node in nodes[number % 3 :]}
        await report(aclient, fleet.tenant, found)
        await publish(aclient)
    stream: Any = await aclient.xrange(keys.live_events(fleet.tenant, "health"), f"({begun.seq}-0", "+")
    events = [fields[b"d"] for _, fields in stream]
    held = applied("health", None, msgspec.to_builtins(begun.data))
    fresh = applied("health", None, msgspec.to_builtins((await shown(aclient, fleet.tenant, "health")).data))
    for cut in range(1, len(events)):
        parts = [folded("health", events[:cut]), folded("health", events[cut:])]
        last = held
        for part in parts:
            last = applied("health", last, msgspec.json.decode(part))
        assert last == fresh


async def test_an_old_judgement_is_no_judgement(fleet: Fleet, reader: Reader, aclient: redis.asyncio.Redis) -> None:
    await report(aclient, fleet.tenant, {new_id(): [HOT]}, at=time.time() - 60)
    await publish(aclient)
    told = await reader.one("health")
    assert told["state"] == "unknown"
    assert [row["code"] for row in told["changed"].values()] == ["health_unknown"]
    assert (await reader.one("system"))["state"] == "unknown"


@pytest.mark.parametrize(
    ("held", "health", "system"),
    [
        ({"node.view", "model.view"}, True, False),
        ({"node.view"}, False, False),
        ({"node.view", "model.view", "tenant.manage"}, True, True),
        (set(), False, False),
    ],
)
def test_who_may_not_see_models_is_not_told_of_theirs_and_the_control_plane_is_the_operators(
    held: set[str], health: bool, system: bool
) -> None:
    principal = Principal("user", new_id(), new_id(), "somebody", frozenset(held), "r")
    assert may_subscribe(principal, TOPICS["health"]) is health
    assert may_subscribe(principal, TOPICS["system"]) is system
