"""How long an engine may be silent: what is usual is borne, what is not ends."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from cluster.scheduling.silence import FIRST, FLOOR, GAPS, MOST, Hung, ModelPace, Silent, hung, limit
from ollamamax.contract import Phase

PHASES: tuple[Phase, ...] = ("loading", "reading", "writing")


def paces(rng: random.Random) -> Iterator[ModelPace]:
    for _ in range(200):
        pace = ModelPace()
        for _ in range(rng.randrange(5)):
            pace.heard(rng.expovariate(1))
            pace.read(rng.expovariate(1), rng.randrange(5000))
            pace.fade(rng.expovariate(0.01))
        yield pace


def test_a_limit_is_never_below_the_floor_and_grows_with_what_there_is_to_read() -> None:
    rng = random.Random(1)
    for pace in paces(rng):
        tokens, beside = rng.randrange(10_000), rng.randrange(10_000)
        for phase in PHASES:
            least = limit(pace, phase, 0)
            assert least >= FLOOR
            assert limit(pace, phase, tokens) >= least
            assert limit(pace, phase, tokens, beside) >= limit(pace, phase, tokens)
            assert limit(pace, phase, tokens, beside, floor=2 * FLOOR) >= limit(pace, phase, tokens, beside)
        assert limit(pace, "writing", tokens) <= limit(pace, "reading", tokens) <= limit(pace, "loading", tokens)
        assert limit(pace, "writing", tokens) <= MOST


def test_what_was_usual_of_late_is_borne_and_in_time_forgotten() -> None:
    rng = random.Random(2)
    for _ in range(200):
        pace, usual = ModelPace(), rng.uniform(0.1, 25)
        pace.heard(usual)
        assert limit(pace, "writing", 10) >= min(MOST, max(FLOOR, GAPS * usual))
        for _ in range(2 * 3600):
            pace.fade(1.0)
        assert limit(pace, "writing", 10) == FLOOR


def test_a_long_silence_teaches_no_limit_without_end() -> None:
    pace = ModelPace()
    pace.heard(1e9)
    pace.read(1e9, 1)
    assert limit(pace, "writing", 10) == MOST


def test_many_short_requests_beside_excuse_nobody() -> None:
    pace = ModelPace()
    pace.read(0.5, 8)
    running = [Silent("1", "a", "writing", FLOOR + 1), *(Silent(f"s{n}", "a", "reading", 9.0, 20) for n in range(60))]
    assert "a" in hung(running, {"a": pace}, {"a": FLOOR + 1}, alone=True).versions


@pytest.mark.parametrize("alone", [True, False])
def test_nobody_hangs_while_everybody_is_within_limits(alone: bool) -> None:
    rng = random.Random(3)
    for _ in range(300):
        running = [
            Silent(f"{n}", rng.choice("ab"), rng.choice(PHASES), rng.uniform(0, FLOOR * 0.99), rng.randrange(500))
            for n in range(rng.randrange(6))
        ]
        heard = {version: rng.uniform(0, 100) for version in "ab" if rng.random() < 0.7}
        assert hung(running, {}, heard, alone=alone) == Hung()


def test_a_request_that_alone_is_silent_ends_alone() -> None:
    running = [Silent("1", "a", "writing", FLOOR + 1), Silent("2", "a", "writing", 0.1)]
    assert hung(running, {}, {"a": 0.1}, alone=True) == Hung({"1": FLOOR + 1})


def test_a_version_that_nobody_hears_ends_with_all_its_requests_and_no_others() -> None:
    running = [
        Silent("1", "a", "writing", FLOOR + 1),
        Silent("2", "a", "reading", 3.0, 0),
        Silent("3", "b", "writing", 0.2),
    ]
    found = hung(running, {}, {"a": FLOOR + 1, "b": 0.2}, alone=True)
    assert found == Hung({"1": FLOOR + 1, "2": 3.0}, {"a": FLOOR + 1})


def test_prompts_that_are_read_beside_give_time() -> None:
    writing = Silent("1", "a", "writing", FLOOR + 1)
    assert hung([writing, Silent("2", "a", "reading", 1.0, 4000)], {}, {"a": FLOOR + 1}, alone=True) == Hung()


def test_an_engine_that_works_for_another_model_may_keep_a_request_waiting_but_not_a_process_of_its_own() -> None:
    waits = Silent("1", "a", "reading", FIRST * FLOOR + 1)
    works = Silent("2", "b", "writing", 0.1)
    assert hung([waits, works], {}, {"b": 0.1}, alone=False) == Hung()
    assert "a" in hung([waits, works], {}, {"b": 0.1}, alone=True).versions


def test_how_fast_prompts_are_read_tells_nothing_of_texts_to_embed() -> None:
    rng = random.Random(4)
    for tokens in (rng.randrange(256, 20_000) for _ in range(50)):
        pace = ModelPace()
        pace.read(tokens * 0.001, tokens)
        embed = Silent("a", "m", "reading", seconds=tokens * 0.03, tokens=tokens, whole=True)
        beside = Silent("b", "m", "reading", seconds=tokens * 0.03, tokens=5)
        assert hung([embed, beside], {"m": pace}, {}, alone=True) == Hung()
        pace.read(tokens * 0.02, tokens, whole=True)
        assert hung([embed, beside], {"m": pace}, {}, alone=True) == Hung()
        stuck = Silent("a", "m", "reading", seconds=FIRST * FLOOR + tokens * 0.09, tokens=tokens, whole=True)
        assert hung([stuck], {"m": pace}, {}, alone=True).versions == {"m": stuck.seconds}
        assert limit(pace, "reading", tokens) < FIRST * FLOOR + tokens * 0.005
