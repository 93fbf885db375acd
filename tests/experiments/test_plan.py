"""A run of an experiment as pure decisions: its phases, its blast radius, what aborts it, and that every run ends with nothing ordered."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.experiments.figures import CountedRequest, Pair, compare, figures_of, judge
from cluster.experiments.plan import (
    LONGEST_RECOVERY,
    SETTLE_SECONDS,
    TAKES_HOLD,
    ExperimentNodeFacts,
    ExperimentRunFacts,
    RunPlan,
    advance,
    begun,
    orders,
    refusal,
)
from cluster.experiments.terms import AbortBounds, ExperimentTerms, Hypothesis, check_terms
from ollamamax.contract.experiment import FaultState, NodeFault
from ollamamax.kernel.errors import InvalidRequest

ALLOWED: frozenset[NodeFault] = frozenset({"engine_freeze", "agent_kill"})
HYPOTHESIS = Hypothesis(failed_share=0.01, recovery_seconds=5.0)
TERMS = ExperimentTerms("engine_freeze", ("a",), seconds=10.0, repeats=2, hypothesis=HYPOTHESIS)


def node(name: str, **changes: Any) -> ExperimentNodeFacts:
    fine = ExperimentNodeFacts(
        name, heard=True, well=True, boot=f"boot of {name}", allows=ALLOWED, versions=frozenset({"v"})
    )
    return replace(fine, **changes)


def facts(
    requests: int = 100, failed: int = 0, stopped_by: str = "", **nodes: ExperimentNodeFacts
) -> ExperimentRunFacts:
    return ExperimentRunFacts({"a": node("a"), "b": node("b"), **nodes}, requests, failed, stopped_by, {"v": "tiny:1b"})


FINE = facts()


def suffering(run: RunPlan, state: Any = "on") -> ExperimentRunFacts:
    return facts(a=node("a", fault=FaultState(run.phases[-1].order, "engine_freeze", state, "no engine here")))


def until_fault(terms: ExperimentTerms = TERMS) -> RunPlan:
    run = advance(begun("r", terms, FINE, 0.0), terms, FINE, 10.0)
    assert (run.step, orders(run, terms, 10.0)["a"].seconds) == ("fault", terms.seconds)
    return run


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"a": node("a", allows=frozenset())}, "does not allow this fault there"),
        ({"a": node("a", heard=False)}, "a is not heard"),
        ({"a": node("a", well=False)}, "not well already"),
        ({"b": node("b", well=False)}, "No other node that is well has tiny:1b"),
        ({"b": node("b", versions=frozenset({"w"}))}, "No other node that is well has tiny:1b"),
    ],
)
def test_only_nodes_that_opted_in_suffer_it_and_never_the_last_that_serves_a_model(change: Any, told: str) -> None:
    why = refusal(TERMS, ("a",), facts(**change))
    assert bool(why) == bool(told)
    assert told in why


def test_phases_with_and_without_the_fault_take_turns_and_each_is_recovered_from() -> None:
    run, now = begun("r", TERMS, FINE, 0.0), 0.0
    seen: list[str] = []
    while run.state == "running":
        now += 1.0
        found = suffering(run) if run.step == "fault" else FINE
        run = advance(run, TERMS, found, now)
        assert set(orders(run, TERMS, now)) == ({"a"} if run.step == "fault" and run.state == "running" else set())
        if not seen or seen[-1] != run.step:
            seen.append(run.step)
    assert [phase.kind for phase in run.phases] == ["control", "fault", "fault", "control"], "what drifts cancels out"
    assert seen == ["control", "fault", "recovery", "fault", "recovery", "control", "settle"]
    assert (run.state, now) == ("done", 40 + 2 + SETTLE_SECONDS)
    assert [phase.recovery_seconds for phase in run.phases if phase.kind == "fault"] == [0.0, 0.0]
    assert len({phase.order for phase in run.phases if phase.order}) == 2, "each fault is ordered anew"


def test_recovery_is_timed_from_a_kill_and_from_the_end_of_what_lasts() -> None:
    for fault, seconds in (("engine_freeze", 4.0), ("agent_kill", 14.0)):
        terms = replace_terms(fault=fault)
        run = until_fault(terms)
        run = advance(run, terms, suffering(run), 11.0)
        run = advance(run, terms, suffering(run), 20.0)
        for now in (21.0, 22.0, 23.0):
            run = advance(run, terms, facts(a=node("a", heard=False, well=False)), now)
        run = advance(run, terms, FINE, 24.0)
        assert run.phases[1].recovery_seconds == seconds


def replace_terms(**changes: Any) -> ExperimentTerms:
    return ExperimentTerms(**{name: getattr(TERMS, name) for name in TERMS.__struct_fields__} | changes)


@pytest.mark.parametrize(
    ("found", "now", "state", "why"),
    [
        (facts(requests=100, failed=21), 11.0, "aborted", "21 of 100 requests"),
        (facts(requests=19, failed=19), 11.0, "running", ""),
        (facts(b=node("b", well=False)), 11.0, "aborted", "No other node that is well has tiny:1b"),
        (facts(), 10.0 + TAKES_HOLD + 1, "aborted", "did not take hold"),
        (facts(stopped_by="ada"), 11.0, "stopped", "ada stopped it"),
    ],
)
def test_a_fault_ends_at_once_by_an_abort_condition_or_a_person(found: Any, now: float, state: str, why: str) -> None:
    terms = replace_terms(seconds=60.0)
    run = advance(begun("r", terms, FINE, -60.0), terms, FINE, 10.0)
    run = advance(run, terms, found, now)
    assert run.state == state
    assert why in run.why
    assert bool(orders(run, terms, now)) == (state == "running")


def test_a_node_that_refuses_or_does_not_recover_ends_the_run_with_its_reason() -> None:
    run = until_fault()
    assert "a refused the fault: no engine here" in advance(run, TERMS, suffering(run, "refused"), 11.0).why
    run = advance(advance(run, TERMS, suffering(run), 11.0), TERMS, suffering(run), 20.0)
    ill = facts(a=node("a", well=False))
    assert advance(run, TERMS, ill, 21.0 + LONGEST_RECOVERY).state == "aborted"


looks = st.lists(
    st.tuples(
        st.builds(
            node, st.just("a"), heard=st.booleans(), well=st.booleans(), boot=st.sampled_from(["boot of a", "another"]),
            allows=st.sampled_from([ALLOWED, frozenset()]),
        ),
        st.builds(node, st.just("b"), well=st.booleans()),
        st.integers(0, 60),
        st.floats(0.1, 120.0),
    ),
    max_size=40,
)  # fmt: skip


@given(looks)
def test_whatever_nodes_do_a_run_ends_orders_only_its_targets_and_nothing_afterwards(seen: Any) -> None:
    run, now = begun("r", TERMS, FINE, 0.0), 0.0
    for a, b, failed, passed in seen:
        now += passed
        before, run = run, advance(run, TERMS, facts(requests=60, failed=failed, a=a, b=b), now)
        assert len(run.phases) - len(before.phases) in (0, 1)
        told = orders(run, TERMS, now)
        assert told.keys() <= {"a"}
        assert not told or run.state == "running"
        if before.state != "running":
            assert run == before
    for _ in range(12):
        now += LONGEST_RECOVERY + 1
        run = advance(run, TERMS, FINE, now)
    assert run.state != "running"
    assert orders(run, TERMS, now) == {}
    assert all(phase.ended_at is not None for phase in run.phases)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30))
def test_no_more_nodes_suffer_it_at_once_than_the_blast_radius_allows_and_each_has_its_turn(
    count: int, at_once: int, pair: int
) -> None:
    terms = replace_terms(nodes=tuple(str(each) for each in range(count)), at_once=min(at_once, count))
    targets = terms.targets(pair)
    assert len(set(targets)) == len(targets) == min(at_once, count)
    assert {target for each in range(count) for target in terms.targets(each)} == set(terms.nodes)


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": ()}, {"nodes": ("a", "a")}, {"seconds": 1.0}, {"seconds": float("nan")}, {"repeats": 0}, {"at_once": 2}, {"milliseconds": 5.0},
        {"fault": "slow_answers"}, {"control": "nodes"}, {"control_nodes": ("b",)}, {"control": "nodes", "control_nodes": ("a",)},
        {"hypothesis": Hypothesis()}, {"hypothesis": Hypothesis(failed_share=2)}, {"abort": AbortBounds(requests=0)},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_an_experiment_is_refused(change: dict[str, Any]) -> None:
    check_terms(TERMS)
    with pytest.raises(InvalidRequest):
        check_terms(replace_terms(**change))


def answers(count: int, failed: int, first_token_ms: float) -> list[CountedRequest]:
    return [
        CountedRequest(each < failed, None if each < failed else first_token_ms + each % 7) for each in range(count)
    ]


def interval(difference: Any) -> tuple[float, float]:
    assert difference.low is not None
    assert difference.high is not None
    return difference.low, difference.high


def test_the_difference_has_an_interval_that_holds_nothing_where_nothing_differs_and_not_where_much_does() -> None:
    same = [Pair(answers(200, 2, 50.0), answers(200, 2, 50.0)) for _ in range(3)]
    worse = [Pair(answers(200, 2, 50.0), answers(200, 40, 250.0)) for _ in range(3)]
    share, first_token = compare(same, random.Random(1))
    low, high = interval(share)
    assert (share.pairs, share.mean, low <= 0 <= high) == (3, 0.0, True)
    assert interval(first_token) == (0.0, 0.0)
    share, first_token = compare(worse, random.Random(1))
    low, high = interval(share)
    assert share.mean == pytest.approx(0.19)
    assert 0.1 < low < 0.19 < high < 0.3
    assert interval(first_token)[0] > 150
    assert compare([Pair([], answers(5, 0, 9.0))], random.Random(1))[0].mean is None, "no data"
    assert compare(worse[:1], random.Random(1))[0].low is None, "one pair tells nothing of the next"


def test_a_hypothesis_holds_is_broken_or_has_no_data() -> None:
    assert judge(HYPOTHESIS, answers(100, 0, 9.0), [3.0, 4.0])[1] == "held"
    assert judge(HYPOTHESIS, answers(100, 2, 9.0), [3.0, 4.0])[1] == "broken"
    assert judge(HYPOTHESIS, answers(100, 0, 9.0), [3.0, 6.0])[1] == "broken"
    assert judge(HYPOTHESIS, [], [3.0])[1] == "no_data"
    assert judge(HYPOTHESIS, answers(100, 0, 9.0), [3.0, None])[1] == "no_data"
    empty = figures_of([])
    assert (empty.requests, empty.failed_share, empty.first_token_p95_ms) == (0, None, None)
