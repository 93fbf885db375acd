"""The playbook as pure decisions: its guard rails, and that every run comes to an end in which the node is served or said to be set aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.recovery.playbook import (
    CALM_SECONDS,
    HELPED,
    MOST_AN_HOUR,
    VERIFY_SECONDS,
    BeginFacts,
    OtherNode,
    RecoveryRun,
    RunFacts,
    advance,
    refusal,
    stopped,
)

FINE = BeginFacts(
    kind="slow",
    about="node",
    is_open=True,
    schedulable=True,
    busy=False,
    lately=0,
    running=2,
    versions=frozenset({"v"}),
    others=[OtherNode(1, frozenset({"v", "w"})), OtherNode(1, frozenset())],
    names={"v": "tiny:1b"},
)
BEGUN = RecoveryRun("quarantine", "running", 0.0, 0.0, "ada")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"kind": "node_lost"}, "No playbook helps"),
        ({"about": "model"}, "No playbook helps"),
        ({"is_open": False}, "is over"),
        ({"busy": True}, "runs on this node already"),
        ({"schedulable": False}, "takes no requests already"),
        ({"lately": MOST_AN_HOUR}, "within the hour"),
        ({"running": 3}, "too few free slots"),
        ({"others": []}, "No other node that takes requests has tiny:1b"),
        ({"others": [OtherNode(9, frozenset({"w"}))]}, "No other node that takes requests has tiny:1b"),
    ],
)
def test_each_guard_rail_forbids_with_its_own_sentence(change: dict[str, Any], told: str) -> None:
    assert refusal(replace(FINE, **change)).find(told) >= 0
    assert bool(refusal(replace(FINE, **change))) == bool(told)


others = st.lists(st.builds(OtherNode, st.integers(0, 5), st.frozensets(st.sampled_from("abc"))), max_size=4)


@given(
    others,
    st.integers(0, 10),
    st.frozensets(st.sampled_from("abc")),
    st.sampled_from([*sorted(HELPED), "node_lost", "x"]),
    st.integers(0, 9),
)
def test_what_may_begin_leaves_room_for_what_runs_and_a_copy_of_all_it_had(
    among: list[OtherNode], running: int, versions: frozenset[str], kind: str, lately: int
) -> None:
    facts = replace(FINE, others=among, running=running, versions=versions, kind=kind, lately=lately)
    if not refusal(facts):
        assert sum(each.free for each in among) >= running
        assert versions <= frozenset().union(*(each.versions for each in among))
        assert lately < MOST_AN_HOUR


def test_a_node_that_becomes_well_is_set_aside_drained_verified_and_restored() -> None:
    aside, drained = RunFacts(False, False, None), RunFacts(False, True, None)
    run = advance(BEGUN, RunFacts(True, False, None), 1.0)
    assert run == BEGUN, "the node has not been told yet"
    run = advance(run, aside, 2.0)
    assert (run.step, advance(run, aside, 3.0)) == ("drain", run)
    run = advance(run, drained, 10.0)
    assert (run.step, advance(run, drained, 11.0)) == ("verify", run)
    assert advance(run, replace(drained, over_for=CALM_SECONDS - 1), 20.0) == run
    run = advance(run, replace(drained, over_for=CALM_SECONDS), 60.0)
    assert (run.step, advance(run, drained, 61.0)) == ("restore", run)
    run = advance(run, RunFacts(True, True, 40.0), 62.0)
    assert (run.state, run.seconds) == ("done", 62.0)


def test_one_that_does_not_become_well_stays_set_aside_and_that_is_said() -> None:
    run = advance(replace_step("verify", at=0.0), RunFacts(False, True, None), VERIFY_SECONDS + 1)
    assert (run.state, run.why) == ("given_up", "The incident is not over; the node stays set aside.")


def replace_step(step: Any, at: float) -> RecoveryRun:
    return RecoveryRun(step, "running", 0.0, at)


looks = st.lists(
    st.tuples(
        st.builds(RunFacts, st.sampled_from([True, False, None]), st.booleans(), st.none() | st.floats(0, 100)),
        st.floats(0.1, 600.0),
    ),
    max_size=40,
)


@given(looks)
def test_steps_go_forward_only_and_what_has_ended_stays_so(seen: list[tuple[RunFacts, float]]) -> None:
    run, now, order = BEGUN, 0.0, ["quarantine", "drain", "verify", "restore"]
    for facts, passed in seen:
        now += passed
        after = advance(run, facts, now)
        assert order.index(after.step) - order.index(run.step) in (0, 1)
        if run.state != "running":
            assert after == run
        if after.state == "done":
            assert run.step == "restore"
        assert (after.ended_at is None) == (after.state == "running")
        run = after
    if run.state == "running":
        assert stopped(run, "ada", now).why == "ada stopped it."


@given(looks)
def test_with_time_alone_every_run_that_has_begun_to_drain_ends(seen: list[tuple[RunFacts, float]]) -> None:
    run, now = replace_step("drain", at=0.0), 0.0
    for facts, passed in seen:
        now += passed
        run = advance(run, facts, now)
    for _ in range(3):
        now += 2 * VERIFY_SECONDS
        run = advance(run, RunFacts(run.step == "restore", False, None), now)
    assert run.state != "running"
