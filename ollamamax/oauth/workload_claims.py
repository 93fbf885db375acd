"""Whether what an issuer says of a workload is what a tenant trusts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ollamamax.kernel.errors import InvalidRequest
from ollamamax.sso.claims import is_like
from ollamamax.sso.refusals import SsoRefused
from ollamamax.sso.tokens import LEEWAY, time_of_claim

MOST_RULES = 20
LONGEST_CLAIM = 200
LONGEST_PATTERN = 500
_MOST_LIFE = 86_400.0
"""Seconds: a token that counts for longer is a secret that somebody keeps."""

Rules = Sequence[tuple[str, str]]
"""Claims, each with a pattern in which ``*`` stands for anything; ``a/b`` is the claim ``b`` within ``a``."""


def checked_rules(rules: Rules) -> list[list[str]]:
    """Raises `InvalidRequest` for none, and for one that trusts everybody."""
    if not 1 <= len(rules) <= MOST_RULES:
        raise InvalidRequest(f"A workload has 1 to {MOST_RULES} rules.", param="rules")
    for claim, pattern in rules:
        if not 0 < len(claim) <= LONGEST_CLAIM or not 0 < len(pattern) <= LONGEST_PATTERN:
            raise InvalidRequest("A rule has a claim and a pattern.", param="rules")
        if not pattern.strip("*"):
            raise InvalidRequest(f"The rule for {claim[:50]!r} lets anything in.", param="rules")
    return [list(each) for each in rules]


def why_not(claims: Mapping[str, Any], *, issuer: str, audience: str, rules: Rules, now: float) -> str | None:
    """What is against it, in a sentence; ``None`` where all holds. ``now`` is Unix time."""
    if claims.get("iss") != issuer:
        return "The token is of another issuer."
    held = claims.get("aud")
    if audience not in ([held] if isinstance(held, str) else held if isinstance(held, list) else []):
        return "The token is for another audience."
    try:
        ends, begins, issued = (time_of_claim(claims, name) for name in ("exp", "nbf", "iat"))
    except SsoRefused as error:
        return error.detail
    if ends is None or now >= ends + LEEWAY:
        return "The token has expired, or does not say when it does."
    if max(begins or 0.0, issued or 0.0) > now + LEEWAY:
        return "The token is of a time to come."
    if ends - (now if issued is None else issued) > _MOST_LIFE:
        return "The token counts for more than a day."
    for claim, pattern in rules:
        if not _holds(claim_of(claims, claim), pattern):
            return f"The claim {claim!r} is not what is trusted."
    return None


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the way to it: names of claims hold slashes too. ``None`` for none."""
    if name in claims:
        return claims[name]
    for at, letter in enumerate(name):
        if letter == "/":
            inner = claims.get(name[:at])
            if isinstance(inner, Mapping) and (found := claim_of(inner, name[at + 1 :])) is not None:
                return found
    return None


def _holds(value: Any, pattern: str) -> bool:
    if isinstance(value, bool):
        return pattern == str(value).lower()
    if isinstance(value, int):
        return pattern == str(value)
    if isinstance(value, list):
        return any(isinstance(each, str) and is_like(each, pattern) for each in value[:1000])
    return isinstance(value, str) and is_like(value, pattern)
