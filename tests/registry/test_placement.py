"""Where copies of versions are to lie: as a property of every fleet, and what each reason means."""

from __future__ import annotations

import dataclasses
import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.replication.placement import (
    HeldCopy,
    HostNode,
    Move,
    MoveReason,
    PlacedVersion,
    PlacementPlan,
    place,
)
from models_registry.replication.terms import ReplicationTerms, objection, ruling

Copies = dict[tuple[str, str], HeldCopy]
labels = st.dictionaries(st.sampled_from(["rack", "gpu"]), st.sampled_from(["a", "b"]), max_size=2)
regions = st.sampled_from(["", "east", "west"])


@st.composite
def terms(draw: st.DrawFn) -> ReplicationTerms:
    least = draw(st.none() | st.integers(0, 4))
    return ReplicationTerms(
        least=least,
        most=None if least is None else draw(st.none() | st.integers(least, 6)),
        regions=tuple(draw(st.lists(regions.filter(bool), max_size=1))),
        labels=draw(labels) if draw(st.booleans()) else {},
        spread=draw(st.sampled_from(["", "rack", "region"])),
        priority=draw(st.integers(-1, 1)),
    )


SHORT = 1e-9
"""Seconds that a node may be away for the sizes here, but for the smallest."""


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[PlacedVersion], list[HostNode], Copies, int | None]:
    versions = [
        PlacedVersion(f"v{each}", draw(st.integers(1, 5)), draw(terms())) for each in range(draw(st.integers(1, 4)))
    ]
    nodes = []
    for each in range(draw(st.integers(0, 6))):
        away = draw(st.sampled_from([0.0, SHORT, math.inf]))
        takes = away == 0 and draw(st.booleans())
        nodes.append(HostNode(f"n{each}", draw(regions), draw(labels), takes=takes, away=away))
    copies: Copies = {}
    for node in nodes:
        for version in versions:
            if draw(st.booleans()):
                whole = draw(st.booleans())
                copies[node.id, version.digest] = HeldCopy(
                    node.id,
                    version.digest,
                    wanted=draw(st.sampled_from([None, True, False])),
                    whole=whole,
                    failed=not whole and draw(st.booleans()),
                    in_use=whole and draw(st.booleans()),
                    paused=not whole and draw(st.booleans()),
                    came=draw(st.integers(0, 9)),
                    used=draw(st.integers(0, 9)),
                )
    return versions, nodes, copies, draw(st.none() | st.integers(0, 12))


def carried_out(copies: Copies, placement: PlacementPlan, *, whole: bool) -> Copies:
    """The plan is written; where ``whole``, everything came that was to come, and went that was to go."""
    found = dict(copies)
    for move in placement.moves:
        held = found.get((move.node, move.digest)) or HeldCopy(move.node, move.digest)
        found[move.node, move.digest] = dataclasses.replace(held, wanted=move.hold)
    if whole:
        for key, copy in list(found.items()):
            if copy.wanted is False:
                del found[key]
            elif copy.wanted and not copy.paused:
                found[key] = dataclasses.replace(copy, whole=True, failed=False)
    return found


@given(fleets(), st.booleans())
def test_a_plan_that_was_carried_out_asks_for_nothing_more(
    fleet: tuple[list[PlacedVersion], list[HostNode], Copies, int | None], whole: bool
) -> None:
    versions, nodes, copies, quota = fleet
    for _ in range(12):
        placement = place(versions, nodes, copies.values(), quota=quota)
        if not placement.moves:
            break
        copies = carried_out(copies, placement, whole=whole)
    else:
        raise AssertionError("it never comes to rest")


@given(fleets())
def test_what_is_in_use_stays_and_nothing_goes_below_least_or_over_the_quota(
    fleet: tuple[list[PlacedVersion], list[HostNode], Copies, int | None],
) -> None:
    versions, nodes, copies, quota = fleet
    placement = place(versions, nodes, copies.values(), quota=quota)
    assert len({(move.node, move.digest) for move in placement.moves}) == len(placement.moves), "one reason for each"
    after = carried_out(copies, placement, whole=False)
    hosts = {node.id: node for node in nodes}
    for move in placement.moves:
        if not move.hold:
            assert not copies[move.node, move.digest].in_use
        elif move.reason != MoveReason.KEPT:
            assert hosts[move.node].takes
    for version in versions:
        admitted = {
            node.id for node in nodes if node.counts(version) and version.terms.admits(node.region, node.labels)
        }
        wanted = len(admitted) if version.terms.least is None else version.terms.least

        def whole(held: Copies) -> int:
            of = [copy for copy in held.values() if copy.digest == version.digest and copy.placed and copy.whole]  # noqa: B023
            return sum(1 for copy in of if copy.node in admitted and not copy.paused)  # noqa: B023

        assert whole(after) >= min(wanted, whole(copies))
    if quota is not None:
        sizes = {version.digest: version.size for version in versions}
        for node in nodes:

            def taken(held: Copies) -> int:
                return sum(sizes[each.digest] for each in held.values() if each.node == node.id and each.placed)  # noqa: B023

            assert taken(after) <= max(quota, taken(copies))


def moves(placement: PlacementPlan) -> dict[tuple[str, str], tuple[bool, MoveReason]]:
    return {(move.node, move.digest): (move.hold, move.reason) for move in placement.moves}


def held(node: str, digest: str = "v", **more: object) -> HeldCopy:
    return HeldCopy(node, digest, **{"wanted": True, "whole": True, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "seconds"), [(145_000_000, 1.45), (40_000_000_000, 400), (10**13, 600)])
def test_a_copy_of_a_node_that_is_away_is_waited_for_as_long_as_another_one_takes_to_make(
    size: int, seconds: float
) -> None:
    version = PlacedVersion("v", size, ReplicationTerms(least=1))
    copies = [HeldCopy("n0", "v", wanted=True, whole=True)]
    other = HostNode("n1")
    assert place([version], [HostNode("n0", takes=False, away=seconds * 0.99), other], copies).moves == ()
    moves = place([version], [HostNode("n0", takes=False, away=seconds * 1.01), other], copies).moves
    assert [(move.node, move.hold) for move in moves] == [("n1", True)]


NODES = [HostNode(f"n{each}", labels={"rack": "ab"[each % 2]}) for each in range(4)]


def test_copies_are_spread_over_the_values_of_a_label() -> None:
    version = PlacedVersion("v", 1, ReplicationTerms(least=2, spread="rack"))
    found = moves(place([version], NODES, []))
    assert {{"n0": "a", "n1": "b", "n2": "a", "n3": "b"}[node] for node, _ in found} == {"a", "b"}


def test_above_most_the_surplus_goes_and_what_is_in_use_stays() -> None:
    version = PlacedVersion("v", 1, ReplicationTerms(least=1, most=1))
    found = moves(place([version], NODES, [held("n0", in_use=True), held("n1"), held("n2")]))
    assert found == {("n1", "v"): (False, MoveReason.ABOVE_MOST), ("n2", "v"): (False, MoveReason.ABOVE_MOST)}


def test_room_is_made_by_what_is_not_needed_in_the_order_that_was_asked_for() -> None:
    spare = [PlacedVersion(name, size, ReplicationTerms(least=0)) for name, size in (("old", 2), ("new", 3))]
    wanted = PlacedVersion("v", 3, ReplicationTerms(least=1))
    copies = [held("n0", "old", came=1, used=9), held("n0", "new", came=2, used=1)]
    for evict, gone in (("oldest", {"old", "new"}), ("least_used", {"new"}), ("largest", {"new"})):
        placement = place([wanted, *spare], NODES[:1], copies, quota=5, evict=evict)  # type: ignore[arg-type]
        assert {move.digest for move in placement.moves if not move.hold} == gone
        assert {move.reason for move in placement.moves if not move.hold} == {MoveReason.ROOM}


def test_a_shortage_says_what_is_missing_and_why() -> None:
    version = PlacedVersion("v", 9, ReplicationTerms(least=2))
    assert [each.why for each in place([version], NODES[:1], []).shortages] == ["no further node may have it"]
    (short,) = place([version], NODES, [], quota=5).shortages
    assert (short.wanted, short.there, short.why) == (2, 0, "there is no room on the nodes that may have it")


def test_a_copy_leaves_a_node_that_may_not_have_it_only_when_enough_are_whole_elsewhere() -> None:
    version = PlacedVersion("v", 1, ReplicationTerms(least=1, labels={"rack": "a"}))
    placement = place([version], NODES[:2], [held("n1")])
    assert moves(placement) == {("n0", "v"): (True, MoveReason.BELOW_LEAST)}
    copies = carried_out({("n1", "v"): held("n1")}, placement, whole=True)
    assert placement.moves == (Move("n0", "v", True, MoveReason.BELOW_LEAST),)
    assert moves(place([version], NODES[:2], copies.values())) == {("n1", "v"): (False, MoveReason.NOT_ADMITTED)}


@pytest.mark.parametrize(
    ("window", "at", "seconds"),
    [((0, 0), "12:00", 0), ((60, 120), "01:30", 0), ((60, 120), "02:00", 23 * 3600), ((1380, 60), "00:59", 0),
     ((1380, 60), "22:59", 60)],
)  # fmt: skip
def test_a_window_opens_and_closes_by_utc(window: tuple[int, int], at: str, seconds: float) -> None:
    now = datetime.datetime.fromisoformat(f"2026-01-02T{at}:00+00:00")
    assert ReplicationTerms(window_from=window[0], window_until=window[1]).opens_in(now) == seconds


def test_terms_that_contradict_themselves_are_named() -> None:
    for terms_, field in (
        (ReplicationTerms(least=3, most=2), "most"),
        (ReplicationTerms(most=2), "most"),
        (ReplicationTerms(window_from=1), "window_from"),
        (ReplicationTerms(quota_bytes=1), "quota_bytes"),
        (ReplicationTerms(region_bytes_per_second=1), "region_bytes_per_second"),
    ):
        found = objection(terms_, of_tenant=False)
        assert found is not None
        assert found[0] == field
    assert objection(ReplicationTerms(quota_bytes=1), of_tenant=True) is None


def test_of_two_models_with_one_version_the_one_that_asks_for_more_rules() -> None:
    few, many, everywhere = ReplicationTerms(least=1), ReplicationTerms(least=3), ReplicationTerms()
    assert ruling([few, many]) == many
    assert ruling([everywhere, many]) == everywhere
    assert ruling([ReplicationTerms(least=1, priority=1), many]).least == 1
