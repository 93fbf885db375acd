"""Which versions are to be in which memory: as a property of every fleet, and what each reason means."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.placement.fleet import may_be_on
from cluster.placement.plan import IDLE_SECONDS, URGENT, plan
from cluster.placement.terms import (
    LoadedReplica,
    LoadPlan,
    LoadTerms,
    PlacementNode,
    PlacementReason,
    PlacementVersion,
)

Loaded = dict[tuple[str, str], LoadedReplica]
Fleet = tuple[list[PlacementNode], list[PlacementVersion], Loaded]
labels = st.dictionaries(st.sampled_from(["rack", "gpu"]), st.sampled_from(["a", "b"]), max_size=2)
regions = st.sampled_from(["", "east", "west"])
tenants = st.sampled_from(["one", "other"])


@st.composite
def terms(draw: st.DrawFn) -> LoadTerms:
    least = draw(st.integers(0, 2))
    return LoadTerms(
        regions=tuple(draw(st.lists(regions.filter(bool), max_size=1))),
        labels=draw(labels) if draw(st.booleans()) else {},
        tolerations=("dedicated",) if draw(st.booleans()) else (),
        spread=draw(st.sampled_from(["", "rack", "region"])),
        priority=draw(st.integers(-1, 1)),
        least=least,
        most=draw(st.none() | st.integers(least, 4)),
        pinned=draw(st.integers(0, 4)) == 0,
    )


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    nodes = [
        PlacementNode(
            f"n{each}",
            draw(tenants),
            draw(st.integers(0, 12)),
            draw(st.integers(1, 6)),
            draw(st.sampled_from(["small", "large"])),
            region=draw(regions),
            labels=draw(labels),
            taints=("dedicated=x:no_schedule",) if draw(st.integers(0, 3)) == 0 else (),
            access=("*",) if draw(st.booleans()) else (),
            takes=draw(st.integers(0, 4)) > 0,
        )
        for each in range(draw(st.integers(0, 6)))
    ]
    versions = []
    loaded: Loaded = {}
    left = {each.id: each.memory for each in nodes}
    for number in range(draw(st.integers(1, 5))):
        size = draw(st.integers(1, 6))
        version = PlacementVersion(
            f"v{number}",
            draw(tenants),
            {} if draw(st.integers(0, 5)) == 0 else {"small": size, "large": size + draw(st.integers(0, 2))},
            frozenset(each.id for each in nodes if draw(st.integers(0, 3))),
            draw(terms()),
            demand=draw(st.sampled_from([0.0, 0.1, 1.0, 4.0, 15.0])),
            idle_for=draw(st.sampled_from([0.0, IDLE_SECONDS, math.inf])),
            wanted=draw(st.none() | st.integers(0, 3)),
            warmth=draw(st.none() | st.sampled_from([0.0, 0.15, 0.4, 0.9, 9.0])),
        )
        versions.append(version)
        for node in nodes:
            # What is there fits: a node cannot have more in memory than it has.
            if node.id in version.holders and left[node.id] >= size and draw(st.booleans()):
                loaded[node.id, version.digest] = LoadedReplica(node.id, version.digest, size)
                left[node.id] -= size
    return nodes, versions, loaded


def planned(fleet: Fleet) -> LoadPlan:
    nodes, versions, loaded = fleet
    return plan(nodes, versions, loaded.values())


def carried_out(fleet: Fleet, made: LoadPlan) -> Fleet:
    nodes, versions, loaded = fleet
    found = dict(loaded)
    for step in made.steps:
        if step.verb == "unload":
            del found[step.node, step.digest]
            continue
        assert (step.node, step.digest) not in found
        found[step.node, step.digest] = LoadedReplica(step.node, step.digest, step.bytes)
        if step.source:
            del found[step.source, step.digest]
    return nodes, versions, found


def used(fleet: Fleet) -> Counter[str]:
    return sum((Counter({each.node: each.bytes}) for each in fleet[2].values()), Counter())


def serving(fleet: Fleet, version: PlacementVersion) -> list[PlacementNode]:
    nodes, _, loaded = fleet
    return [each for each in nodes if (each.id, version.digest) in loaded and may_be_on(version, each)]


def least(version: PlacementVersion) -> int:
    asked = version.demand >= (0.01 if version.warmth is None else URGENT)
    asked = asked if version.wanted is None else version.wanted > 0
    wanted = max(version.terms.least, 1 if asked else 0)
    return wanted if version.terms.most is None else min(wanted, version.terms.most)


@given(fleets())
def test_no_node_gets_more_than_its_memory(fleet: Fleet) -> None:
    after = used(carried_out(fleet, planned(fleet)))
    assert all(after[node.id] <= node.memory for node in fleet[0])


@given(fleets())
def test_what_comes_may_be_where_it_comes_and_is_on_disk_there(fleet: Fleet) -> None:
    nodes, versions = {each.id: each for each in fleet[0]}, {each.digest: each for each in fleet[1]}
    for step in planned(fleet).steps:
        version, node = versions[step.digest], nodes[step.node]
        if step.verb == "unload":
            continue
        assert may_be_on(version, node)
        assert node.id in version.holders
        assert step.bytes == version.needs[node.kind]


@given(fleets())
def test_planned_again_on_its_own_result_nothing_is_left_to_do(fleet: Fleet) -> None:
    assert planned(carried_out(fleet, planned(fleet))).steps == ()


@given(fleets(), st.lists(st.floats(0.75, 1.3), min_size=5, max_size=5))
def test_noise_of_the_demand_takes_nothing_back(fleet: Fleet, noise: list[float]) -> None:
    """Of nodes with as many slots: what came stays, and what went does not come again."""
    nodes = [dataclasses.replace(each, slots=4) for each in fleet[0]]
    first = planned((nodes, fleet[1], fleet[2]))
    after = carried_out((nodes, fleet[1], fleet[2]), first)
    noisy = [dataclasses.replace(each, demand=each.demand * by) for each, by in zip(fleet[1], noise, strict=False)]
    came = {(each.node, each.digest) for each in first.steps if each.verb != "unload"}
    went = {(each.node, each.digest) for each in first.steps if each.verb == "unload"} | {
        (each.source, each.digest) for each in first.steps if each.source
    }
    for step in planned((nodes, noisy, after[2])).steps:
        gone = (step.source if step.verb == "move" else step.node, step.digest)
        # What has too few replicas may still need the room of what has one to spare.
        if step.reason != PlacementReason.ROOM:
            assert step.verb == "load" or gone not in came
            assert step.verb == "unload" or (step.node, step.digest) not in went


@given(fleets())
def test_what_is_asked_for_and_fits_somewhere_is_in_memory(fleet: Fleet) -> None:
    """Somewhere it may be, beside what may not give way for it: what is pinned, comes before it, or is the last that is needed of another."""
    made = planned(fleet)
    after = carried_out(fleet, made)
    nodes, versions, loaded = after
    short = {each.digest for each in made.shortages}
    count = {each.digest: len(serving(after, each)) for each in versions}
    for version in versions:
        if count[version.digest] >= least(version):
            continue
        assert version.digest in short
        for node in nodes:
            if not may_be_on(version, node) or node.id not in version.holders or node.kind not in version.needs:
                continue
            if (node.id, version.digest) in loaded:
                continue
            stays = sum(
                loaded[node.id, other.digest].bytes
                for other in versions
                if (node.id, other.digest) in loaded
                and (
                    other.terms.pinned
                    or other.terms.priority > version.terms.priority
                    or (other.terms.priority == version.terms.priority and count[other.digest] <= least(other))
                )
            )
            assert stays + version.needs[node.kind] > node.memory


@given(fleets())
def test_what_is_pinned_stays_and_nothing_falls_below_its_least_for_its_equals(fleet: Fleet) -> None:
    made = planned(fleet)
    after = carried_out(fleet, made)
    for version in fleet[1]:
        before = len(serving(fleet, version))
        if version.terms.pinned:
            assert all(key in after[2] for key in fleet[2] if key[1] == version.digest)
        if version.terms.priority == 1:
            assert len(serving(after, version)) >= min(before, least(version))
        if version.terms.most is not None and not version.terms.pinned:
            assert len(serving(after, version)) <= version.terms.most


def node(name: str, memory: int, **more: object) -> PlacementNode:
    return PlacementNode(name, "one", memory, 4, "k", **more)  # type: ignore[arg-type]


def version(name: str, need: int, on: str = "abc", **more: object) -> PlacementVersion:
    return PlacementVersion(name, "one", {"k": need}, frozenset(on), **more)  # type: ignore[arg-type]


def steps(made: LoadPlan) -> list[tuple[str, str, str, str]]:
    return [(each.verb, each.digest, each.node, each.source) for each in made.steps]


def test_small_ones_are_packed_so_that_a_large_one_still_fits() -> None:
    nodes = [node("a", 10), node("b", 10), node("c", 10)]
    small = [version(f"s{each}", 3, demand=1.0) for each in range(3)]
    made = plan(nodes, [*small, version("large", 10, demand=1.0)], [])
    assert len(made.shortages) == 0
    assert len({each.node for each in made.steps}) == 2


def test_a_small_one_is_moved_where_a_large_one_has_no_other_place() -> None:
    nodes = [node("a", 10), node("b", 6)]
    made = plan(nodes, [version("s", 3, demand=1.0), version("l", 10, demand=1.0)], [LoadedReplica("a", "s", 3)])
    assert steps(made) == [("move", "s", "b", "a"), ("load", "l", "a", "")]
    assert [each.reason for each in made.steps] == [PlacementReason.ROOM, PlacementReason.DEMANDED]
    assert made.cost == 13


def test_replicas_are_spread_follow_the_demand_and_leave_when_nobody_asks() -> None:
    nodes = [node(name, 10, labels={"rack": rack}) for name, rack in zip("abc", "xxy", strict=True)]
    busy = version("v", 5, demand=6.0, terms=LoadTerms(spread="rack"))
    made = plan(nodes, [busy], [])
    assert {each.node for each in made.steps} in ({"a", "c"}, {"b", "c"})
    there = [LoadedReplica(each.node, "v", 5) for each in made.steps]
    calm = plan(nodes, [dataclasses.replace(busy, demand=1.0)], there)
    assert [(each.verb, each.reason) for each in calm.steps] == [("unload", PlacementReason.SPARE)]
    idle = plan(nodes, [dataclasses.replace(busy, demand=0.0)], there)
    assert [each.reason for each in idle.steps] == [PlacementReason.IDLE, PlacementReason.IDLE]
    recent = plan(nodes, [dataclasses.replace(busy, demand=0.0, idle_for=10.0)], there)
    assert recent.steps == ()


def test_what_may_not_run_on_its_node_any_more_goes_when_another_has_it() -> None:
    nodes = [node("a", 10, taints=("x:no_schedule",)), node("b", 10)]
    made = plan(nodes, [version("v", 5, demand=1.0)], [LoadedReplica("a", "v", 5)])
    assert [(each.verb, each.node, each.source, each.reason) for each in made.steps] == [
        ("move", "b", "a", PlacementReason.NOT_ADMITTED)
    ]
    alone = plan(nodes[:1], [version("v", 5, demand=1.0)], [LoadedReplica("a", "v", 5)])
    assert alone.steps == ()
    assert alone.shortages[0].why == "no node that may run it, and takes requests, has a copy"


def test_it_is_told_why_something_is_not_placed_and_what_no_other_node_could_take() -> None:
    nodes = [node("a", 10), node("b", 4)]
    made = plan(
        nodes,
        [
            version("big", 9, demand=1.0),
            version("huge", 30, demand=1.0),
            version("nowhere", 1, on="z", demand=1.0),
            PlacementVersion("odd", "one", {}, frozenset("ab"), demand=1.0, unknown="its layers attend to chunks"),
        ],
        [],
    )
    assert {each.digest: each.why for each in made.shortages} == {
        "huge": "no node that may run it has room",
        "nowhere": "no node that may run it, and takes requests, has a copy",
        "odd": "its layers attend to chunks",
    }
    assert made.exposed == (("big", "a"),)
