"""Candidates and wishes for the tests of decisions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cluster.scheduling.candidate import Candidate, Ranked, Wanted
from cluster.scheduling.rendezvous import salt
from cluster.scheduling.routing import rank
from cluster.scheduling.strategies import STRATEGIES
from ollamamax.contract.profile import Profile, Strategy

TENANT = "acme"


def node(name: str, **changes: Any) -> Candidate:
    """A node of the tenant that has the model in memory, four free slots and no measurements."""
    given: dict[str, Any] = {"tenant": TENANT, "residence": "loaded", "capacity": 4, "salt": salt(name), **changes}
    return Candidate(name, **given)


def measured(name: str, *, speed: float = 50.0, first_token_ms: float = 100.0, **changes: Any) -> Candidate:
    known = {"first_token_ms": first_token_ms, "overhead_ms": first_token_ms, "prompt_speed": 1000.0}
    known |= {"speed": speed, "token_ms": 1000 / speed, "crowding_ms": 100 / speed}
    return node(name, **{**known, **changes})


def wanted(strategy: Strategy = "balanced", **changes: Any) -> Wanted:
    profile = Profile(strategy=strategy, **changes.pop("profile", {}))
    return Wanted(**{"tenant": TENANT, "version": "v", "profile": profile, "prefixes": (7 << 24 | 400,), **changes})


def order(strategy: Strategy, *candidates: Candidate, **given: Any) -> list[str]:
    return [each.node for each in rank(wanted(strategy), candidates, **given)]


def first(strategy: Strategy, *candidates: Candidate, **given: Any) -> Ranked:
    return rank(wanted(strategy), candidates, **given)[0]


names = st.sampled_from(sorted(STRATEGIES))
speeds = st.none() | st.floats(0.1, 1e4)
candidates = st.lists(
    st.builds(
        node,
        st.text("abcdef0123456789", min_size=4, max_size=8),
        tenant=st.sampled_from([TENANT, "others"]),
        shared=st.booleans(),
        access=st.sampled_from([frozenset("*"), frozenset({TENANT}), frozenset({"third"})]),
        residence=st.sampled_from(["present", "ready", "loading", "loaded"]),
        capacity=st.integers(1, 16),
        in_flight=st.integers(0, 40),
        region=st.sampled_from(["", "eu", "us"]),
        labels=st.sampled_from([{}, {"gpu": "h200"}, {"gpu": "cpu"}]),
        taints=st.sampled_from([(), (), ("gpu=h200:no_schedule",), ("spot:no_execute", "gpu:no_schedule")]),
        hourly_cost=st.none() | st.floats(0, 100),
        bar=st.sampled_from(["", "", "", "draining", "memory"]),
        context=st.none() | st.sampled_from([2048, 8192]),
        size=st.none() | st.integers(0, 10**12),
        fits=st.sampled_from([None, True, False]),
        load_ms=speeds,
        overhead_ms=speeds,
        prompt_speed=speeds,
        speed=speeds,
        token_ms=speeds,
        crowding_ms=speeds,
    ),
    max_size=20,
    unique_by=lambda candidate: candidate.node,
)
wishes = st.builds(
    Wanted,
    tenant=st.just(TENANT),
    version=st.just("v"),
    profile=st.builds(
        Profile,
        strategy=names,
        num_ctx=st.none() | st.just(4096),
        outside=st.sampled_from(["refuse", "route"]),
        regions=st.sampled_from([(), ("eu",), ("us", "eu")]),
        labels=st.sampled_from([{}, {"gpu": "h200"}]),
        tolerations=st.sampled_from([(), ("gpu",), ("spot", "gpu=")]),
    ),
    prefixes=st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
    num_ctx=st.none() | st.sampled_from([1024, 8192]),
    prompt_tokens=st.integers(0, 100_000),
)
