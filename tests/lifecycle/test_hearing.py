"""What a controller takes for silence: only time in which it could have heard the nodes."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from cluster.lifecycle.hearing import DEAF_SECONDS, LEAST_UNHEARD, LOST_AFTER, SETTLING, Ears

FLEET = [f"n{number}" for number in range(10)]


class _Watch:
    def __init__(self, nodes: Collection[str] = FLEET) -> None:
        self.ears, self.nodes, self.now = Ears(), nodes, 0.0

    def looks(
        self, seconds: float, heard: Collection[str], *, redis: str = "a", step: float = 1.0, boot: str = ""
    ) -> None:
        for _ in range(int(seconds / step)):
            self.now += step
            self.ears.look(self.nodes, dict.fromkeys(heard, boot), now=self.now, redis=redis)

    def away(self, *, known: Collection[str] = ()) -> set[str]:
        return {each for each in self.nodes if self.ears.of(each, away=each in known) in ("unreachable", "lost")}


def test_one_that_falls_silent_is_unreachable_within_seconds_then_lost_and_heard_when_it_is_back() -> None:
    watch = _Watch()
    watch.looks(30, FLEET)
    assert watch.away() == set()
    watch.looks(LEAST_UNHEARD + 2, FLEET[1:])
    assert watch.away() == {"n0"}
    assert watch.ears.of("n0", away=True) == "unreachable"
    watch.looks(LOST_AFTER, FLEET[1:])
    assert watch.ears.of("n0", away=True) == "lost"
    watch.looks(1, FLEET)
    assert watch.ears.of("n0", away=True) == "heard"


def test_while_one_is_missing_it_is_in_doubt_and_of_ten_thousand_none_for_longer_than_of_ten() -> None:
    for count in (1, 10, 10_000):
        nodes = [f"n{number}" for number in range(count)]
        watch = _Watch(nodes)
        watch.looks(3, nodes)
        assert not watch.ears.in_doubt
        for _ in range(int(LEAST_UNHEARD / 0.25)):
            assert watch.away() == set()
            watch.looks(0.25, nodes[1:], step=0.25)
            assert watch.ears.in_doubt
        assert watch.away() == {"n0"}
        watch.looks(0.25, nodes[1:], step=0.25)
        assert not watch.ears.in_doubt, "it is unreachable, and nobody looks more often for that"


@given(st.floats(3, 10_000), st.sets(st.sampled_from(FLEET)))
def test_a_controller_that_was_stopped_or_begins_declares_nobody_dead(pause: float, silent: set[str]) -> None:
    watch = _Watch()
    watch.looks(20, FLEET)
    watch.now += pause
    watch.looks(1, set(FLEET) - silent)
    assert watch.away() == set()
    begun = _Watch()
    begun.looks(1, set(FLEET) - silent)
    assert begun.away() == set()


@given(st.integers(1, int(SETTLING)), st.integers(1, len(FLEET)))
def test_when_another_redis_answers_nobody_is_dead_until_they_had_time_to_find_it(away: int, known: int) -> None:
    watch = _Watch(FLEET[:known])
    watch.looks(20, FLEET[:known])
    watch.looks(away, (), redis="b")
    assert watch.away() == set()
    watch.looks(60, (), redis="b")
    assert watch.away() == set(FLEET[:known]), "those that never found it are gone"


def test_when_most_fall_silent_in_a_moment_the_way_to_them_is_doubted_for_a_while() -> None:
    watch = _Watch()
    watch.looks(20, FLEET)
    watch.looks(DEAF_SECONDS - 1, FLEET[:3])
    assert watch.away() == set()
    watch.looks(10, FLEET[:3])
    assert watch.away() == set(FLEET[3:])


def test_a_node_that_comes_and_goes_is_unreachable_less_and_less_often() -> None:
    watch = _Watch(["n0"])
    watch.looks(10, ["n0"])
    changes, away = 0, False
    for turn in range(3600):
        watch.looks(1, ["n0"] if turn % 12 < 6 else ())
        now = watch.ears.of("n0", away=away)
        if (now in ("unreachable", "lost")) != away and now != "unsure":
            changes, away = changes + 1, not away
    assert changes <= 20, "not twice every twelve seconds, which were 600"


@given(st.lists(st.floats(10, 300), min_size=1, max_size=5))
def test_a_node_that_was_killed_is_found_as_quickly_when_it_is_killed_again(absences: list[float]) -> None:
    watch = _Watch(["n0"])
    for run, absence in enumerate(absences):
        watch.looks(60, ["n0"], boot=str(run))
        watch.looks(4, ())
        assert watch.away() == {"n0"}
        watch.looks(absence, ())


def test_the_silences_that_one_process_ends_are_its_usual_ones() -> None:
    watch = _Watch(["n0"])
    for _ in range(5):
        watch.looks(60, ["n0"], boot="0")
        watch.looks(6, ())
    watch.looks(60, ["n0"], boot="0")
    watch.looks(6, ())
    assert watch.away() == set()
