"""Which role follows from claims, and which claims are kept."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.sso.claims import MOST_LIST, MOST_TEXT, Decision, Rule, decide, is_like, of_person, texts_of
from ollamamax.sso.refusals import SsoRefused

_TEXTS = st.text("ab*?[.", max_size=12)


@given(_TEXTS, _TEXTS)
def test_a_star_stands_for_any_text_and_nothing_else_is_special(text: str, pattern: str) -> None:
    spelled = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert is_like(text, pattern) == (re.fullmatch(spelled, text, re.DOTALL) is not None)


@given(st.text("ab", max_size=30), st.text("ab*", max_size=10))
def test_patterns_are_those_of_the_shell_as_far_as_stars_go(text: str, pattern: str) -> None:
    assert is_like(text, pattern) == fnmatch.fnmatchcase(text, pattern)


def test_the_first_rule_that_holds_gives_the_role() -> None:
    rules = [Rule("groups", "ml-*", "developer"), Rule("groups", "*", "member"), Rule("dept", "it", "admin")]
    assert decide(rules, "viewer", {"groups": ["sales", "ml-eu"]}) == Decision("developer", 0)
    assert decide(rules, "viewer", {"groups": ["sales"], "dept": "it"}) == Decision("member", 1)
    assert decide(rules, "viewer", {"dept": "it"}) == Decision("admin", 2)
    assert decide(rules, "viewer", {"groups": []}) == Decision("viewer", None)
    assert decide(rules, "", {"groups": None}) == Decision("", None)


def test_texts_of_a_claim_are_found_in_objects_and_lists() -> None:
    claims: dict[str, Any] = {
        "one": "a", "many": ["a", 1, None, {"b": 2}], "yes": True, "in": {"ner": {"most": ["x"]}}, "with.dot": "d",
    }  # fmt: skip
    assert texts_of(claims, "one") == ["a"]
    assert texts_of(claims, "many") == ["a", "1"]
    assert texts_of(claims, "yes") == ["true"]
    assert texts_of(claims, "in.ner.most") == ["x"]
    assert texts_of(claims, "with.dot") == ["d"]
    for missing in ("none", "one.more", "many.0", "in", "", "..", "in."):
        assert texts_of(claims, missing) == []


def test_claims_are_kept_whole_or_not_at_all() -> None:
    kept = {"sub": "ada", "groups": ["a"] * MOST_LIST, "name": "A" * MOST_TEXT, "deep": {"a": {"b": [True, None, 1.5]}}}
    assert of_person(kept | {"nonce": "n", "aud": "x", "exp": 1}) == kept
    deep: Any = "x"
    for _ in range(10):
        deep = [deep]
    for more in (
        {"groups": ["a"] * (MOST_LIST + 1)},
        {"name": "A" * (MOST_TEXT + 1)},
        {"name": "nul\0"},
        {"in": {"nul\0": 1}},
        {"deep": deep},
        {str(n): 1 for n in range(300)},
        {"n" * 2000: 1},
    ):
        with pytest.raises(SsoRefused):
            of_person({"sub": "ada"} | more)
