"""What was compared of shadow traffic: requests that both versions answered, of which people were shown the old version's answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec


@dataclass(frozen=True)
class ShadowAnswer:
    """Of one version. Milliseconds; ``None`` where it is not known. ``tokens`` of the answer."""

    failed: bool
    first_token_ms: float | None
    token_ms: float | None
    tokens: int


@dataclass(frozen=True)
class ShadowPair:
    """One request, answered by both. ``same``: whether both said the same; ``None`` where that was left to chance."""

    old: ShadowAnswer
    new: ShadowAnswer
    same: bool | None


class MeasuredSide(msgspec.Struct):
    """Sums over the answers of one version, and of how many the time was known."""

    answers: int = 0
    failed: int = 0
    first_tokens: int = 0
    first_token_ms: float = 0.0
    speeds: int = 0
    token_ms: float = 0.0
    tokens: int = 0

    def take(self, answer: ShadowAnswer) -> None:
        self.answers += 1
        self.failed += answer.failed
        if answer.failed:
            return
        self.tokens += answer.tokens
        if answer.first_token_ms is not None:
            self.first_tokens += 1
            self.first_token_ms += answer.first_token_ms
        if answer.token_ms is not None:
            self.speeds += 1
            self.token_ms += answer.token_ms


class ShadowComparison(msgspec.Struct):
    """``compared``: requests at temperature 0 that both versions answered; ``same``: those with the same answer."""

    old: MeasuredSide = msgspec.field(default_factory=MeasuredSide)
    new: MeasuredSide = msgspec.field(default_factory=MeasuredSide)
    compared: int = 0
    same: int = 0

    def take(self, pairs: Sequence[ShadowPair]) -> None:
        for pair in pairs:
            self.old.take(pair.old)
            self.new.take(pair.new)
            if pair.same is not None:
                self.compared += 1
                self.same += pair.same


def same_enough(least: float | None, found: ShadowComparison) -> tuple[Literal["go", "hold", "back"], str]:
    """Whether so many of the answers are the same that the steps of shadow traffic may be left, and why not. ``None``: that is not asked for."""
    if least is None:
        return "go", ""
    if not found.compared:
        return "hold", "No data: both versions have answered no request at temperature 0."
    told = f"{found.same} of {found.compared} answers at temperature 0 are the same"
    if found.same / found.compared < least:
        return "back", f"{told}; at least {least:.1%} are asked for."
    return "go", f"{told}."
