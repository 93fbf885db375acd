"""A breaker opens at the first failure, lets one request try, and waits longer each time."""

from __future__ import annotations

from cluster.fleet.breaker import FIRST_PAUSE, LONGEST_PAUSE, TRIAL, Breakers

NODE, VERSION = "a", "sha256:1"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_at_the_first_failure_and_only_for_that_version() -> None:
    breakers = Breakers(Clock())
    breakers.failed(NODE, VERSION)
    assert breakers.is_open(NODE, VERSION)
    assert not breakers.is_open(NODE, "sha256:2")
    assert not breakers.is_open("b", VERSION)


def test_after_the_pause_one_request_tries() -> None:
    breakers = Breakers(clock := Clock())
    breakers.failed(NODE, VERSION)
    clock.now += FIRST_PAUSE
    assert not breakers.is_open(NODE, VERSION)
    breakers.given(NODE, VERSION)
    assert breakers.is_open(NODE, VERSION)
    breakers.succeeded(NODE, VERSION)
    assert not breakers.is_open(NODE, VERSION)


def test_a_trial_that_fails_doubles_the_pause() -> None:
    breakers = Breakers(clock := Clock())
    pause = FIRST_PAUSE
    breakers.failed(NODE, VERSION)
    for _ in range(8):
        clock.now += pause
        assert not breakers.is_open(NODE, VERSION)
        breakers.given(NODE, VERSION)
        breakers.failed(NODE, VERSION)
        pause = min(LONGEST_PAUSE, pause * 2)
        clock.now += pause - 0.01
        assert breakers.is_open(NODE, VERSION)
        clock.now += 0.01
        clock.now -= pause


def test_those_that_fail_together_are_one_failure() -> None:
    breakers = Breakers(clock := Clock())
    for _ in range(50):
        breakers.failed(NODE, VERSION)
    clock.now += FIRST_PAUSE
    assert not breakers.is_open(NODE, VERSION)


def test_a_trial_that_never_ends_does_not_shut_the_node_out_for_ever() -> None:
    breakers = Breakers(clock := Clock())
    breakers.failed(NODE, VERSION)
    clock.now += FIRST_PAUSE
    breakers.given(NODE, VERSION)
    clock.now += TRIAL
    assert not breakers.is_open(NODE, VERSION)


def test_the_first_output_of_the_trial_lets_others_in_and_a_later_failure_pauses_longer() -> None:
    breakers = Breakers(clock := Clock())
    breakers.failed(NODE, VERSION)
    clock.now += FIRST_PAUSE
    breakers.spoke(NODE, VERSION)
    breakers.given(NODE, VERSION)
    assert breakers.is_open(NODE, VERSION), "what began before the failure proves nothing"
    breakers.spoke(NODE, VERSION)
    breakers.given(NODE, VERSION)
    assert not breakers.is_open(NODE, VERSION)
    breakers.failed(NODE, VERSION)
    clock.now += FIRST_PAUSE
    assert breakers.is_open(NODE, VERSION)
