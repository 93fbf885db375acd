"""The gate `evaluation`: pure, over whatever both versions reached or did not."""

from __future__ import annotations

import math
import uuid

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.rollout.evaluation import (
    EvaluationGate,
    ReachedScore,
    SuiteScores,
    awaited,
    check_evaluation_gate,
    seen,
)
from models_registry.rollout.plan import RolloutGates, RolloutProgress, judge, kept_gates
from models_registry.rollout.steps import RolloutStep
from ollamamax.kernel.errors import InvalidRequest

SUITE = uuid.UUID(int=7)
STEPS = [RolloutStep(0.01, 0, 0), RolloutStep(0.5, 0, 0), RolloutStep(1.0, 0, 0)]


@st.composite
def reached(draw: st.DrawFn) -> ReachedScore | None:
    if draw(st.booleans()) and draw(st.booleans()):
        return None
    total = draw(st.integers(1, 200))
    passed = draw(st.integers(0, total))
    return ReachedScore(passed / total, passed, total, draw(st.booleans()))


@st.composite
def gates(draw: st.DrawFn) -> EvaluationGate:
    least, margin = draw(st.none() | st.floats(0.001, 1)), draw(st.none() | st.floats(0, 0.999))
    if least is None and margin is None:
        margin = 0.0
    gate = EvaluationGate(SUITE, least, margin, draw(st.sampled_from([0.0, 0.01, 0.3, 1.0])))
    check_evaluation_gate(gate)
    return gate


@settings(max_examples=100, deadline=None)
@given(gates(), reached(), reached(), st.sampled_from(["", "town"]))
def test_no_data_passes_nothing_and_a_worse_version_is_never_let_on(
    gate: EvaluationGate, new: ReachedScore | None, old: ReachedScore | None, name: str
) -> None:
    found = seen(gate, SuiteScores(name, new, old))
    if not name or new is None or not new.current:
        assert found.state == "waiting"
        assert found.why.startswith("No data: ")
    if found.state == "passed":
        assert name
        assert new is not None
        assert new.current
        assert gate.least_score is None or new.score >= gate.least_score - 1e-6
        if gate.margin is not None:
            assert old is not None
            assert old.current
            assert new.score >= old.score - gate.margin - 1e-6
    if found.state == "closed":
        # Only what was measured is held against it.
        assert new is not None
        assert new.current
        below = gate.least_score is not None and new.score < gate.least_score
        behind = gate.margin is not None and old is not None and old.current and new.score < old.score - gate.margin
        assert below or behind


@settings(max_examples=100, deadline=None)
@given(gates(), reached(), reached(), st.integers(0, 2))
def test_no_step_that_it_is_asked_for_begins_before_it_is_passed(
    gate: EvaluationGate, new: ReachedScore | None, old: ReachedScore | None, step: int
) -> None:
    progress = RolloutProgress(step=step)
    following = STEPS[step + 1] if step < 2 else None
    unseen = judge(progress, STEPS, gate)
    if following is not None and following.share >= gate.from_share:
        assert unseen.act == "hold", "what was not looked at passes nothing"
    progress.evaluation = seen(gate, SuiteScores("town", new, old))
    verdict = judge(progress, STEPS, gate)
    if progress.evaluation.state == "closed":
        assert (verdict.act, verdict.why) == ("back", progress.evaluation.why)
    elif following is None or following.share < gate.from_share or progress.evaluation.state == "passed":
        assert verdict.act == "go"
    else:
        assert (verdict.act, verdict.why) == ("hold", progress.evaluation.why)
        assert awaited(gate, progress.evaluation, following.share) == verdict.why
    # It outlives being kept as JSON.
    again = msgspec.convert(msgspec.to_builtins(progress), RolloutProgress)
    assert judge(again, STEPS, gate) == verdict


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.data())
def test_a_margin_of_whole_cases_is_kept_to_the_case(total: int, data: st.DataObject) -> None:
    """Shares are no decimal fractions: 0.7 is less than 0.8 - 0.1 to a computer."""
    old = data.draw(st.integers(0, total))
    less = data.draw(st.integers(0, old))
    gate = EvaluationGate(SUITE, margin=less / total if less < total else 0.999)
    before, just = ReachedScore(old / total, old, total), ReachedScore((old - less) / total, old - less, total)
    if less < total:
        assert seen(gate, SuiteScores("town", just, before)).state == "passed"
    if less < old:
        worse = ReachedScore((old - less - 1) / total, old - less - 1, total)
        assert seen(gate, SuiteScores("town", worse, before)).state == "closed"


@pytest.mark.parametrize(
    "gate",
    [
        EvaluationGate(SUITE),
        EvaluationGate(SUITE, least_score=0.0),
        EvaluationGate(SUITE, least_score=1.1),
        EvaluationGate(SUITE, margin=-0.1),
        EvaluationGate(SUITE, margin=math.nan),
        EvaluationGate(SUITE, margin=1.0),
        EvaluationGate(SUITE, least_score=0.5, from_share=2.0),
    ],
    ids=lambda gate: f"{gate.least_score}, {gate.margin}, {gate.from_share}",
)
def test_what_can_be_no_gate_is_refused(gate: EvaluationGate) -> None:
    with pytest.raises(InvalidRequest):
        check_evaluation_gate(gate)


def test_programs_that_know_no_such_gate_read_rollouts_without_it() -> None:
    assert "evaluation" not in kept_gates(RolloutGates())
    asked = RolloutGates(evaluation=EvaluationGate(SUITE, least_score=0.5))
    assert msgspec.convert(kept_gates(asked), RolloutGates) == asked
