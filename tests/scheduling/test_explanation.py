"""Why a request ran where it ran, in a sentence, and its phases: of what is known, and of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.explanation import Times, timeline, why
from ollamamax.contract import AttemptRecord, Route, ScoredNode


def scored(name: str, *, room: float, reason: str = "loaded") -> ScoredNode:
    return ScoredNode(name, name, reason, 0.5, {"room": room})


def tried(name: str, reason: str = "loaded", error: str = "", at: float = 101.0, **more: float) -> AttemptRecord:
    return AttemptRecord(name, name, reason, at, error=error, **more)  # type: ignore[arg-type]


ROUTES = [
    (
        Route(candidates=[scored("node-1", room=0), scored("node-2", room=0)], attempts=[tried("node-2")], waiting=3),
        "node-1 was full; node-2 had the first free slot.",
    ),
    (
        Route(attempts=[tried("node-2", "queue")], waiting=3),
        "No slot was free at first; node-2 had the first free slot.",
    ),
    (
        Route(candidates=[scored("node-1", room=0.5), scored("node-2", room=1)], attempts=[tried("node-1")]),
        "node-1 already had the model in memory.",
    ),
    (
        Route(candidates=[scored("node-1", room=0), scored("node-2", room=1)], attempts=[tried("node-2", "last")]),
        "node-1 was full; node-2 was the last of the ranking.",
    ),
    (
        Route(
            candidates=[scored("node-2", room=1)],
            attempts=[tried("node-1", error="node_lost"), tried("node-2", "only", at=102.0)],
        ),
        "node-1 was lost; node-2 was the only node that could run it.",
    ),
    (
        Route(candidates=[scored(f"n{number}", room=0) for number in range(6)], attempts=[tried("n5")], waiting=9),
        "n0, n1, n2 and 2 more were full; n5 had the first free slot.",
    ),
]


@pytest.mark.parametrize(("route", "expected"), ROUTES)
def test_a_sentence_says_why(route: Route, expected: str) -> None:
    assert why(route, outcome="ok") == expected


@pytest.mark.parametrize(
    ("route", "outcome", "error", "expected"),
    [
        (Route(), "refused", "invalid_request", "It was refused before a node was chosen (invalid_request)."),
        (Route(waiting=3), "cancelled", "", "No node had a free slot for it before it left the queue."),
        (Route(candidates=[scored("a", room=0)], waiting=1), "", "", "It waits for a free slot; a was full."),
        (
            Route(ruled_out={"gpu-2": "draining", "gpu-3": "tenant"}),
            "refused",
            "unavailable",
            "It was refused before a node was chosen (unavailable); gpu-2 was draining.",
        ),
    ],
)
def test_a_request_that_ran_nowhere_is_explained_too(route: Route, outcome: str, error: str, expected: str) -> None:
    """A node of another tenant is not named: nobody here can do anything about it."""
    assert why(route, outcome=outcome, error=error) == expected


def test_the_phases_of_a_request_that_waited_and_loaded() -> None:
    route = Route(waiting=2, attempts=[tried("gpu-1", at=103.0, started_at=103.5, load_ms=1000.0)])
    steps = timeline(route, Times(100.0, first_token_at=105.0, ended_at=110.0))
    assert [(step.phase, step.at, step.until, step.node_name) for step in steps] == [
        ("received", 100.0, 100.0, ""),
        ("queued", 100.0, 103.0, ""),
        ("routed", 103.0, 103.5, "gpu-1"),
        ("loading", 103.5, 104.5, "gpu-1"),
        ("prefill", 104.5, 105.0, "gpu-1"),
        ("generating", 105.0, 110.0, "gpu-1"),
        ("ended", 110.0, 110.0, ""),
    ]
    assert steps[1].detail == "place 2"


TIMES = st.one_of(st.none(), st.floats(100, 200))


@given(
    st.lists(
        st.builds(tried, st.sampled_from("abc"), at=st.floats(100, 200), started_at=TIMES, load_ms=TIMES), max_size=3
    ),
    st.one_of(st.none(), st.integers(1, 9)),
    TIMES,
    TIMES,
    st.sampled_from(["", "ok", "refused", "cancelled", "failed"]),
)
def test_whatever_is_known_a_sentence_and_phases_come_of_it(
    attempts: list[AttemptRecord], waiting: int | None, first: float | None, ended: float | None, outcome: str
) -> None:
    """Only the last phase of a request that is not over has no end."""
    route = Route(attempts=attempts, waiting=waiting)
    assert why(route, outcome=outcome, error="x").endswith(".")
    steps = timeline(route, Times(100.0, first_token_at=first, ended_at=ended))
    assert steps[0].phase == "received"
    assert all(step.until is not None for step in steps[:-1])
    assert (steps[-1].phase == "ended") == (ended is not None)
