"""Taints keep requests away whose profile does not tolerate them, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.eligibility import admissible, against
from cluster.scheduling.taints import EFFECTS, is_taint, is_toleration, untolerated
from tests.scheduling.nodes import candidates, node, order, wanted, wishes

names = st.sampled_from(["gpu", "spot", "team/a"])
values = st.sampled_from(["", "=", "=h200", "=cpu"])
taints = st.builds(lambda name, value, effect: f"{name}{value}:{effect}", names, values, st.sampled_from(EFFECTS))
tolerations = st.builds(
    lambda name, value, effect: f"{name}{value}{effect}",
    names,
    values,
    st.sampled_from(["", *(f":{each}" for each in EFFECTS)]),
)


def test_a_tainted_node_is_left_to_those_who_tolerate_it() -> None:
    plain, dear = node("plain", in_flight=3), node("dear", taints=("gpu=h200:no_schedule",))
    assert order("balanced", plain, dear) == ["plain"]
    tolerant = wanted(profile={"tolerations": ("gpu=h200",)})
    assert {each.node for each in admissible(tolerant, [plain, dear])} == {"plain", "dear"}
    assert against(wanted(), dear) == "taint"


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [("gpu", True), ("gpu=h200", True), ("gpu=h200:no_execute", True), ("gpu:no_execute", True)]
    + [(each, False) for each in ("gpu=", "gpu=cpu", "gpu=h200:no_schedule", "gp", "gpu2", "h200", "")],
)
def test_a_toleration_speaks_of_what_it_says_and_of_all_that_it_leaves_out(toleration: str, tolerated: bool) -> None:
    assert (untolerated(["gpu=h200:no_execute"], [toleration]) == "") is tolerated


@given(st.lists(taints, max_size=4), st.lists(tolerations, max_size=4), st.lists(tolerations, max_size=4))
def test_more_tolerations_never_keep_away_and_more_taints_never_attract(
    has: list[str], tolerates: list[str], more: list[str]
) -> None:
    if not untolerated(has, tolerates):
        assert not untolerated(has, [*more, *tolerates])
        assert all(not untolerated([each], tolerates) for each in has)
        assert all(not untolerated(has, tolerates, (effect,)) for effect in EFFECTS)


@given(st.lists(taints, max_size=4))
def test_each_taint_without_its_effect_is_a_toleration_of_itself(has: list[str]) -> None:
    assert not untolerated(has, [each.rpartition(":")[0] for each in has])


@given(wishes, candidates)
def test_the_short_way_and_the_reason_agree(wish: Wanted, among: list[Candidate]) -> None:
    able = {each.node for each in admissible(wish, among)}
    for each in among:
        if against(wish, each) == "taint":
            assert each.node not in able


@given(st.text(max_size=30))
def test_what_has_no_form_is_no_taint_and_keeps_nobody_away(text: str) -> None:
    if not is_taint(text):
        assert untolerated([text], []) == ""
    if is_taint(text):
        assert is_toleration(text)
