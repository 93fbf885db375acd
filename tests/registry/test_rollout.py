"""The test that judges a new version, and the steps that follow from it: pure, with seeded answers."""

from __future__ import annotations

import itertools
import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.rollout.before import BLOCK, KEPT, dealt
from models_registry.rollout.evidence import AnswerBlock, Evidence, log_e
from models_registry.rollout.plan import (
    LEVELS,
    CountedAnswer,
    GateName,
    RolloutGates,
    RolloutProgress,
    check_gates,
    closed,
    compare_with,
    judge,
    take,
)
from models_registry.rollout.side import conversation_of, has_new
from models_registry.rollout.steps import STEPS, USUAL, RolloutKind, RolloutStep, check_steps, ends_with, share_of
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
    check_steps(RolloutKind.STAGED, STEPS)
    with pytest.raises(InvalidRequest):
        check_steps(RolloutKind.STAGED, [RolloutStep(share) for share in shares])


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


@pytest.mark.parametrize("margin", [0.0, 0.005, 0.5])
@pytest.mark.parametrize("new_fails", [False, True])
def test_a_version_is_judged_beside_one_that_has_always_failed(margin: float, new_fails: bool) -> None:
    """What mends a broken model is rolled out as anything else: no rate is worse than the old one by more than the margin."""
    progress, gates = RolloutProgress(), RolloutGates(failures=margin)
    for _ in range(1000):
        take(progress, gates, [CountedAnswer(new=False, kind="", failed=True)])
        take(progress, gates, [CountedAnswer(new=True, kind="", failed=new_fails)])
    assert closed(progress) is None
    assert 0 <= progress.gates["failures"].evidence.shown <= 1


def test_what_waits_for_the_other_versions_answers_is_bounded() -> None:
    """Where the new version has hardly a share, or runs on nodes of another kind, the old one's answers would gather for ever."""
    progress, gates = RolloutProgress(), RolloutGates()
    ok = CountedAnswer(new=False, kind="a", failed=False, first_token_ms=10.0, token_ms=1.0)
    take(progress, gates, [ok] * 3000)
    take(progress, gates, [msgspec.structs.replace(ok, new=True, kind="b")] * 3000)
    for gate in progress.gates.values():
        assert (gate.old, gate.new) == (3000, 3000)
        assert [(len(each.old), len(each.new)) for each in gate.waiting.values()] == [(500, 0), (0, 500)]
    take(progress, gates, [msgspec.structs.replace(ok, new=True, failed=True)] * BLOCK)
    assert progress.gates["failures"].evidence.rates["a"].old == 500


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


# -- blue-green: compared with what was measured before the switch


@given(
    st.lists(st.floats(0, 1e6), max_size=400),
    st.integers(0, 300),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_answer_from_before_the_switch_is_dealt_once_and_blocks_do_not_depend_on_the_answers(
    values: list[float], requests: int, times: bool
) -> None:
    found = dealt(values, requests, times=times)
    sizes = [size for size, _ in found.blocks]
    kept = min(KEPT, len(values) // 3)
    assert sum(sizes) <= len(values) - kept
    assert all(size >= BLOCK and 0 <= bad <= size for size, bad in found.blocks)
    # The same numbers of other answers make the same blocks.
    assert [size for size, _ in dealt([0.0] * len(values), requests, times=times).blocks] == sizes
    assert sizes == sorted(sizes, reverse=True), "those that are waited for have the most to compare with"
    if times and found.blocks:
        assert found.middle == sorted(values[:kept])[kept // 2]


def _switched(
    seed: int, before: int, after: int, bad: tuple[float, float] = (0.01, 0.01), slow: float = 1.0
) -> RolloutProgress:
    rng, progress, gates = random.Random(seed), RolloutProgress(), RolloutGates(speed=None)
    compare_with(progress, gates, _answers(rng, before, 1.0, (bad[0], bad[0]), 1.0), 100)
    for answer in _answers(rng, after, 1.0, bad, slow):
        take(progress, gates, [answer])
        if closed(progress):
            break
    return progress


def test_after_a_switch_an_equal_version_stays_and_a_worse_one_is_found_out() -> None:
    assert [seed for seed in range(20) if closed(_switched(seed, 2000, 2000, (0.05, 0.05)))] == []
    assert sum(closed(_switched(seed, 2000, 1000, (0.01, 0.06))) == "failures" for seed in range(20)) >= 19
    assert sum(closed(_switched(seed, 2000, 100, (0.0, 0.0), 2.0)) == "first_token" for seed in range(20)) >= 18


def test_without_anything_from_before_the_switch_no_gate_says_anything_and_when_it_is_used_up_none_says_more() -> None:
    progress = _switched(1, 0, 200, (0.0, 0.9))
    assert closed(progress) is None
    gate = progress.gates["failures"]
    assert (gate.old, gate.new, gate.blocks_left) == (0, 200, 0)
    progress = _switched(1, 60, 400)
    evidence = progress.gates["failures"].evidence.value
    assert progress.gates["failures"].blocks_left == 0
    take(progress, RolloutGates(), _answers(random.Random(3), 100, 1.0, (0.9, 0.9), 9.0))
    assert progress.gates["failures"].evidence.value == evidence


def test_answers_of_the_old_version_that_end_after_the_switch_are_not_compared() -> None:
    progress = _switched(1, 300, 0)
    gate = progress.gates["failures"]
    left = gate.blocks_left
    take(progress, RolloutGates(), [CountedAnswer(False, "llamacpp", True)] * 50)
    assert (gate.old, gate.blocks_left, gate.new) == (300, left, 0)


SHARES = st.floats(0.001, 1.0)
ANY_STEPS = st.lists(st.builds(RolloutStep, SHARES, st.just(0.0), st.just(0), st.booleans()), min_size=1, max_size=5)


@given(st.sampled_from(RolloutKind), ANY_STEPS)
@settings(max_examples=200, deadline=None)
def test_whatever_steps_pass_lead_from_nobody_to_all_or_show_nothing(
    kind: RolloutKind, steps: list[RolloutStep]
) -> None:
    try:
        check_steps(kind, steps)
    except InvalidRequest:
        return
    shares, number = [0.0], 0
    while not ends_with(kind, steps, number):
        shares.append(share_of(steps, number))
        number += 1
    assert shares == sorted(shares)
    assert max(shares) == 0.0 if kind == RolloutKind.SHADOW else share_of(steps, len(steps)) == 1.0
    if kind == RolloutKind.BLUE_GREEN:
        assert [share for share in shares if share] == [1.0], "one switch, and a step in which it can be taken back"


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (RolloutKind.BLUE_GREEN, [RolloutStep(0.5), RolloutStep(1.0)]),
        (RolloutKind.BLUE_GREEN, [RolloutStep(0.5)]),
        (RolloutKind.BLUE_GREEN, [RolloutStep(0.5, shadow=True)]),
        (RolloutKind.SHADOW, [RolloutStep(1.0)]),
        (RolloutKind.SHADOW, [RolloutStep(0.5, shadow=True), RolloutStep(1.0)]),
        (RolloutKind.STAGED, [RolloutStep(0.5), RolloutStep(0.1, shadow=True), RolloutStep(1.0)]),
        (RolloutKind.STAGED, [RolloutStep(1.0, shadow=True)]),
    ],
)
def test_each_kind_has_its_own_steps(kind: RolloutKind, steps: list[RolloutStep]) -> None:
    for usual in RolloutKind:
        check_steps(usual, USUAL[usual])
    with pytest.raises(InvalidRequest):
        check_steps(kind, steps)
