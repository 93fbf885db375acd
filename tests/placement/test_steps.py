"""Which steps of a plan are taken now, and which wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.placement.steps import MOST_LOADS, ready_steps
from cluster.placement.terms import PlacementReason, PlacementStep, Verb

NODES, VERSIONS = st.sampled_from("abcdefgh"), st.sampled_from("uvwxyz")


def step(verb: Verb, node: str, digest: str, size: int = 1, source: str = "") -> PlacementStep:
    return PlacementStep(verb, node, digest, PlacementReason.DEMANDED, size, source)


@given(
    st.lists(st.builds(step, st.sampled_from(["load", "unload"]), NODES, VERSIONS, st.integers(1, 9)), max_size=20),
    st.dictionaries(NODES, st.integers(0, 9)),
    st.frozensets(st.tuples(NODES, VERSIONS), max_size=5),
)
def test_nothing_is_loaded_beyond_what_is_free_nor_two_at_once_on_a_node(
    steps: list[PlacementStep], free: dict[str, int], loading: frozenset[tuple[str, str]]
) -> None:
    found = ready_steps(steps, free, loading)
    loads = [each for each in found.ready if each.verb == "load"]
    assert all(each.bytes <= free.get(each.node, 0) for each in loads)
    assert len({each.node for each in loads}) == len(loads)
    assert not {each.node for each in loads} & {node for node, _ in loading}
    assert len(loads) + len(loading) <= max(MOST_LOADS, len(loading))
    assert len(found.ready) + len(found.waiting) == len(steps)
    assert all(why for _, why in found.waiting)


def test_what_is_replaced_stays_until_the_other_replica_is_there() -> None:
    steps = [step("unload", "a", "v"), step("load", "a", "w", 5)]
    coming = ready_steps(steps, {"a": 5}, {("b", "v")})
    assert [each.digest for each in coming.ready] == ["w"]
    assert [why for _, why in coming.waiting] == ["another replica of it is on its way into memory"]
    assert [each.digest for each in ready_steps(steps, {"a": 5}, set()).ready] == ["v", "w"]
    full = ready_steps(steps, {"a": 4}, set())
    assert [(each.digest, why) for each, why in full.waiting] == [("w", "its room is not free yet")]
