"""The test that judges a new version, and the steps that follow from it: pure, with seeded answers."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.rollout.evidence import AnswerBlock, Evidence, log_e
from models_registry.rollout.plan import (
    LEVELS,
    STEPS,
    CountedAnswer,
    GateName,
    RolloutGates,
    RolloutProgress,
    RolloutStep,
    check_gates,
    check_steps,
    closed,
    judge,
    take,
)
from models_registry.rollout.side import conversation_of, has_new
from ollamamax.contract import Inference
from ollamamax.kernel.errors import InvalidRequest


def _expectation(
    count_old: int, count_new: int, assumed: tuple[float, float], margin: float, true: tuple[float, float]
) -> float:
    """The mean of a block's evidence, when the versions' answers are bad at the ``true`` rates."""
    total = 0.0
    for old_bad in range(count_old + 1):
        for new_bad in range(count_new + 1):
            chance = _chance(count_old, old_bad, true[0]) * _chance(count_new, new_bad, true[1])
            if chance:
                total += chance * math.exp(log_e(AnswerBlock(count_old, old_bad, count_new, new_bad), *assumed, margin))
    return total


def _chance(count: int, bad: int, rate: float) -> float:
    return math.comb(count, bad) * rate**bad * (1 - rate) ** (count - bad)


@pytest.mark.parametrize("margin", [0.0, 0.005, 0.05])
@pytest.mark.parametrize(("old", "new"), [(1, 1), (4, 1), (3, 4), (9, 2)])
@pytest.mark.parametrize(("assumed_old", "assumed_new"), [(0.01, 0.2), (0.1, 0.3), (0.5, 0.9), (0.02, 0.08)])
def test_evidence_is_no_more_than_one_on_average_while_the_new_version_is_no_worse(
    margin: float, old: int, new: int, assumed_old: float, assumed_new: float
) -> None:
    """Every outcome of a block, by its chance, whatever the true rates are: what the bound on false alarms rests on."""
    for tenths in range(41):
        rate = tenths / 40
        for other in {max(0.0, rate - 0.1), rate, min(1.0, rate + margin)}:
            mean = _expectation(old, new, (assumed_old, assumed_new), margin, (rate, other))
            assert mean <= 1 + 1e-9, (rate, other)


def _answers(
    rng: random.Random, count: int, share: float, bad: tuple[float, float], slow: float
) -> list[CountedAnswer]:
    """Until the new version has given so many; ``slow`` is how many times as long it takes."""
    found, given_by_new = [], 0
    while given_by_new < count:
        new = rng.random() < share
        given_by_new += new
        ms = rng.lognormvariate(5, 0.5)
        found.append(
            CountedAnswer(
                new, "llamacpp", rng.random() < bad[new], ms * (slow if new else 1), 20 * (slow if new else 1)
            )
        )
    return found


def _judged(
    seed: int, count: int, share: float, bad: tuple[float, float] = (0.01, 0.01), slow: float = 1.0
) -> RolloutProgress:
    progress, gates = RolloutProgress(), RolloutGates(speed=None)
    for answer in _answers(random.Random(seed), count, share, bad, slow):
        take(progress, gates, [answer])
        if closed(progress):
            break
    return progress


def test_a_version_that_fails_as_often_is_not_taken_back_however_often_it_is_looked_at() -> None:
    assert [seed for seed in range(20) if closed(_judged(seed, 400, 0.2, (0.05, 0.05)))] == []


@pytest.mark.parametrize(
    ("count", "bad", "slow", "gate"),
    [
        (1000, (0.01, 0.06), 1.0, "failures"),
        (100, (0.01, 0.21), 1.0, "failures"),
        (100, (0.0, 0.0), 2.0, "first_token"),
    ],
)
def test_a_worse_version_is_found_out(count: int, bad: tuple[float, float], slow: float, gate: GateName) -> None:
    found = [closed(_judged(seed, count, 0.2, bad, slow)) for seed in range(20)]
    assert found.count(gate) >= 19


def test_one_time_of_day_or_kind_of_node_is_not_taken_for_the_version() -> None:
    """The new version has its share of both kinds, one of which is slow and fails: within each kind nothing differs."""
    rng, progress = random.Random(1), RolloutProgress()
    for _ in range(4000):
        bad_kind = rng.random() < 0.5
        new = rng.random() < (0.4 if bad_kind else 0.05)
        take(
            progress,
            RolloutGates(),
            [
                CountedAnswer(
                    new,
                    "old" if bad_kind else "fast",
                    rng.random() < (0.3 if bad_kind else 0.01),
                    900.0 if bad_kind else 30.0,
                )
            ],
        )
    assert closed(progress) is None


def test_a_step_is_left_when_time_and_answers_are_full_and_never_when_a_gate_closed() -> None:
    steps = [RolloutStep(0.1, 60, 20), RolloutStep(1.0)]
    progress = RolloutProgress(seconds=59, answers=20)
    assert judge(progress, steps).act == "hold"
    progress.seconds, progress.answers = 60, 19
    assert judge(progress, steps).act == "hold"
    progress.answers = 20
    assert judge(progress, steps).act == "go"
    progress.gates = _judged(1, 100, 0.2, (0.0, 0.9)).gates
    verdict = judge(progress, steps)
    assert verdict.act == "back"
    assert "fails more often" in verdict.why


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.5, 1), (0.5, 0.2, 1), (0.0, 1), (1.1,), (math.nan, 1)])
def test_steps_rise_to_all(shares: tuple[float, ...]) -> None:
    check_steps(STEPS)
    with pytest.raises(InvalidRequest):
        check_steps([RolloutStep(share) for share in shares])


@pytest.mark.parametrize(
    "gates",
    [
        RolloutGates(failures=-0.1),
        RolloutGates(failures=math.nan),
        RolloutGates(speed=0.9),
        RolloutGates(first_token=math.inf),
    ],
)
def test_gates_are_bounded(gates: RolloutGates) -> None:
    with pytest.raises(InvalidRequest):
        check_gates(gates)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_evidence_stays_a_number(blocks: list[tuple[int, int, float, float]]) -> None:
    evidence = Evidence()
    for old, new, old_bad, new_bad in blocks:
        evidence.take("", AnswerBlock(old, round(old * old_bad), new, round(new * new_bad)), margin=0.005, usual=0.01)
    assert math.isfinite(evidence.value)
    assert 0 <= evidence.shown <= 1e6


def test_together_the_gates_alarm_falsely_once_in_a_hundred_rollouts_at_most() -> None:
    assert sum(LEVELS.values()) <= 0.01


def _chat(*texts: str) -> Inference:
    roles = itertools.cycle(["user", "assistant"])
    return Inference(
        "chat",
        messages=[{"role": "system", "content": "s"}, *({"role": next(roles), "content": each} for each in texts)],
    )


def test_a_conversation_keeps_its_version_and_the_share_is_true() -> None:
    first, later = (
        conversation_of(each, "", new) for each, new in ((_chat("hi"), "1"), (_chat("hi", "ho", "and?"), "2"))
    )
    assert first == later != conversation_of(_chat("hello"), "", "1")
    assert conversation_of(_chat("a"), "thread", "1") == conversation_of(_chat("b"), "thread", "2")
    embed = [conversation_of(Inference("embed", inputs=[each]), "", each) for each in ("a", "b")]
    assert embed[0] == embed[1]
    assert conversation_of(Inference("completion", prompt="a"), "", "1") != conversation_of(
        Inference("completion", prompt="a"), "", "2"
    )
    drawn = {
        share: {n for n in range(4000) if has_new("r", share, "who", b"%d" % n)} for share in (0.0, 0.05, 0.25, 1.0)
    }
    assert drawn[0.0] < drawn[0.05] < drawn[0.25] < drawn[1.0]
    assert len(drawn[1.0]) == 4000
    assert 900 < len(drawn[0.25]) < 1100
