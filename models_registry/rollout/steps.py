"""The kinds of rollouts and their steps. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from ollamamax.kernel.errors import InvalidRequest

MOST_STEPS = 20
LONGEST_HOLD = 30 * 86400
MOST_REQUESTS = 1_000_000


class RolloutKind(StrEnum):
    """``staged``: more and more conversations have the new version, and at last the channel points at it. ``blue_green``: all have it at once, while
    the old version is kept loaded for a hold time. ``shadow``: requests are run again on it, and nobody has it."""

    STAGED = "staged"
    BLUE_GREEN = "blue_green"
    SHADOW = "shadow"


class RolloutStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``share`` of conversations, above 0 and at most 1, for at least so many seconds and answers of the new version.

    ``shadow``: no conversation has it; that share of requests is run again on it, and what it answers is compared and not shown.
    """

    share: float
    seconds: float = 300.0
    requests: int = 100
    shadow: bool = False


STEPS = (RolloutStep(0.01), RolloutStep(0.05), RolloutStep(0.25), RolloutStep(0.5), RolloutStep(1.0, 0.0, 0))
HOLD = (RolloutStep(1.0, 900.0, 100),)
SHADOW = (RolloutStep(0.1, 900.0, 100, shadow=True),)
USUAL = {RolloutKind.STAGED: STEPS, RolloutKind.BLUE_GREEN: HOLD, RolloutKind.SHADOW: SHADOW}
"""The steps of a rollout for which none are asked."""


def check_steps(kind: RolloutKind, steps: Sequence[RolloutStep]) -> None:
    """Raises `InvalidRequest` for steps that a rollout of this kind cannot have."""
    if not 1 <= len(steps) <= MOST_STEPS:
        raise InvalidRequest(f"A rollout has 1 to {MOST_STEPS} steps.", param="steps")
    for step in steps:
        if not 0 < step.share <= 1:
            raise InvalidRequest("A share is above 0 and at most 1.", param="steps")
        if not 0 <= step.seconds <= LONGEST_HOLD or not 0 <= step.requests <= MOST_REQUESTS:
            raise InvalidRequest(
                f"A step takes 0 to {LONGEST_HOLD} seconds and 0 to {MOST_REQUESTS} requests.", param="steps"
            )
    seen = list(itertools.dropwhile(lambda step: step.shadow, steps))
    if any(step.shadow for step in seen):
        raise InvalidRequest("Steps of shadow traffic come before all others.", param="steps")
    if kind == RolloutKind.SHADOW:
        if seen:
            raise InvalidRequest("A rollout of the kind 'shadow' has steps of shadow traffic alone.", param="steps")
        return
    if kind == RolloutKind.BLUE_GREEN and len(seen) != 1:
        raise InvalidRequest(
            "A rollout of the kind 'blue_green' has one step with the share 1, which is its hold time.", param="steps"
        )
    if any(step.share <= before.share for before, step in itertools.pairwise(seen)):
        raise InvalidRequest("Shares rise from step to step, above 0 and up to 1.", param="steps")
    if not seen or seen[-1].share != 1:
        raise InvalidRequest("The last step's share is 1.", param="steps")


def kept_steps(steps: Sequence[RolloutStep]) -> list[dict[str, Any]]:
    """As JSON, whole but for what programs before shadow traffic could not read where there is none."""
    return [
        {"share": each.share, "seconds": each.seconds, "requests": each.requests}
        | ({"shadow": True} if each.shadow else {})
        for each in steps
    ]


def ends_with(kind: RolloutKind, steps: Sequence[RolloutStep], number: int) -> bool:
    """Whether beginning the step with this number ends the rollout: there is none, or it is the whole move of a staged one."""
    return number >= len(steps) or (
        kind == RolloutKind.STAGED and not steps[number].shadow and steps[number].share >= 1
    )


def share_of(steps: Sequence[RolloutStep], number: int) -> float:
    """Of conversations that have the new version in the step with this number, or after the last one."""
    if number >= len(steps):
        return 0.0 if steps[-1].shadow else 1.0
    return 0.0 if steps[number].shadow else steps[number].share
