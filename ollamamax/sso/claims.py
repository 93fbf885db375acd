"""What an identity provider says of somebody, bounded, and the role that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ollamamax.sso.refusals import SsoRefused, Why

MOST_CLAIMS, MOST_TEXT, MOST_LIST, MOST_DEPTH = 200, 1000, 2000, 5
PROTOCOL = frozenset(
    {
        "aud",
        "azp",
        "exp",
        "iat",
        "nbf",
        "nonce",
        "at_hash",
        "c_hash",
        "s_hash",
        "jti",
        "sid",
        "rt_hash",
        "typ",
        "session_state",
    }
)
"""Claims about the token, not about the person."""


def of_person(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are about the person. Raises `SsoRefused` for more or longer ones than are kept: a part of them could give other rights."""
    found = {name: value for name, value in claims.items() if name not in PROTOCOL}
    if len(found) > MOST_CLAIMS or not all(
        len(name) <= MOST_TEXT and _is_bounded(each, 0) for name, each in found.items()
    ):
        raise SsoRefused(Why.BAD_ANSWER, "The claims are longer, more or deeper than are kept.")
    return found


def _is_bounded(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_TEXT and "\0" not in value
    if isinstance(value, list):
        return depth < MOST_DEPTH and len(value) <= MOST_LIST and all(_is_bounded(each, depth + 1) for each in value)
    if isinstance(value, dict):
        return (
            depth < MOST_DEPTH
            and len(value) <= MOST_CLAIMS
            and all(_is_bounded(name, depth) and _is_bounded(each, depth + 1) for name, each in value.items())
        )
    return value is None or isinstance(value, bool | int | float)


def texts_of(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts of a claim: itself, or those of its list. A name with dots leads into objects, unless a claim has that very name."""
    value: Any = claims.get(path)
    if path not in claims:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return [
        str(each).lower() if isinstance(each, bool) else str(each)
        for each in values
        if isinstance(each, str | int | float)
    ]


@dataclass(frozen=True)
class Rule:
    """Who has a text in ``claim`` that is ``pattern``, where ``*`` stands for any text, gets ``role`` (a slug)."""

    claim: str
    pattern: str
    role: str


@dataclass(frozen=True)
class Decision:
    """``rule`` is the place of the first rule that holds; ``None`` where none does and ``role`` is the provider's own, or empty for none."""

    role: str
    rule: int | None


def decide(rules: Sequence[Rule], default: str, claims: Mapping[str, Any]) -> Decision:
    """The role of whoever has these claims: the first rule that holds says so."""
    for place, rule in enumerate(rules):
        if any(is_like(text, rule.pattern) for text in texts_of(claims, rule.claim)):
            return Decision(rule.role, place)
    return Decision(default, None)


def is_like(text: str, pattern: str) -> bool:
    """Whether the text is the pattern, in which ``*`` stands for any text, an empty one too. In time linear in both."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    at, last = len(first), rest.pop()
    for part in rest:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)
