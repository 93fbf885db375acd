"""The stages of a version, which step may follow which, and who must agree: every pair, every order of approvals."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.lifecycle import (
    FOLLOWING,
    KEPT_ON_NODES,
    AskedPromotion,
    ReleaseStage,
    approve,
    check_step,
    check_target,
    is_promoters,
    what_holds,
)
from ollamamax.kernel.errors import Conflict, Forbidden

PEOPLE = st.sampled_from(["ann", "ben", "cy", "dee", ""])


def passes(*arguments: object) -> bool:
    check, *rest = arguments
    try:
        check(*rest)  # type: ignore[operator]
    except Conflict:
        return False
    return True


def test_steps_are_those_of_the_table_and_no_version_reaches_production_unstaged_or_unpromoted() -> None:
    for held, wanted in itertools.product(ReleaseStage, ReleaseStage):
        assert passes(check_step, held, wanted, []) == (wanted in FOLLOWING[held]), (held, wanted)
        if wanted == ReleaseStage.PRODUCTION and passes(check_step, held, wanted, []):
            assert held in {ReleaseStage.STAGED, ReleaseStage.DEPRECATED}
            assert is_promoters(held, wanted)
        assert not passes(check_step, held, wanted, ["stable"]) or wanted != ReleaseStage.ARCHIVED
    assert set(FOLLOWING) == set(ReleaseStage)


def test_every_stage_can_be_reached_from_every_other() -> None:
    for start in ReleaseStage:
        seen, left = {start}, [start]
        while left:
            fresh = set(FOLLOWING[left.pop()]) - seen
            seen |= fresh
            left += fresh
        assert seen == set(ReleaseStage), start


def test_a_channel_points_at_no_archive_and_a_protected_one_at_production_alone() -> None:
    for stage, protected in itertools.product(ReleaseStage, [True, False]):
        expected = stage == ReleaseStage.PRODUCTION if protected else stage != ReleaseStage.ARCHIVED
        assert passes(check_target, "stable", protected, stage) == expected


@given(st.sampled_from(["ann", "ben"]), st.integers(0, 4), st.lists(PEOPLE, max_size=12))
def test_whatever_the_order_so_many_different_others_approved(asker: str, needed: int, clicks: list[str]) -> None:
    asked = AskedPromotion(asker, needed)
    for person in clicks:
        if person in {asker, ""}:
            with pytest.raises(Forbidden):
                approve(asked, person)
        else:
            asked = approve(asked, person)
    others = set(clicks) - {asker, ""}
    assert set(asked.approved) == others
    assert (asked.missing == 0) == (len(others) >= needed)


def test_what_is_used_says_by_what() -> None:
    for stage, channels, promotions in itertools.product(ReleaseStage, [[], ["stable"]], [0, 1]):
        held = what_holds(channels, stage, promotions)
        assert bool(held) == bool(channels or stage in KEPT_ON_NODES or promotions)
        assert all(any(name in sentence for sentence in held) for name in channels)
