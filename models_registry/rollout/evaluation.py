"""The gate `evaluation`: what the new version reached in a suite, against a least score and against the old version. Pure.

Nothing here is a matter of chance, as the other gates are: a suite is asked at a fixed seed, and its score is a count. What was not evaluated
passes nothing.
"""

from __future__ import annotations

import uuid
from typing import Literal

import msgspec

from ollamamax.kernel.errors import InvalidRequest

_ROUNDING = 1e-9
"""Shares of cases are fractions of at most 200: a difference this small is none."""
EvaluationState = Literal["passed", "waiting", "closed"]


class EvaluationGate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``least_score``: the new version's score in the suite with this id is so high, a share of its cases. ``margin``: it is at most so much below the
    old version's. Both may be asked for, and one has to be. It is asked for before a step with ``from_share`` of conversations or more begins."""

    suite: uuid.UUID
    least_score: float | None = None
    margin: float | None = None
    from_share: float = 0.0


class ReachedScore(msgspec.Struct, frozen=True):
    """Of a version's last completed evaluation: ``passed`` of ``total`` cases. ``current``: by the suite's cases as they are now."""

    score: float
    passed: int
    total: int
    current: bool = True


class SuiteScores(msgspec.Struct, frozen=True):
    """``suite_name`` is empty when the suite is not there; ``None``: there is no completed evaluation of that version."""

    suite_name: str = ""
    new: ReachedScore | None = None
    old: ReachedScore | None = None


class SeenEvaluation(msgspec.Struct, frozen=True):
    """What was there at the last look. ``passed``: steps may begin; ``waiting``: there is no data yet; ``closed``: the version is taken back."""

    state: EvaluationState
    why: str
    scores: SuiteScores


def check_evaluation_gate(gate: EvaluationGate) -> None:
    """Raises `InvalidRequest` for what no gate can be."""
    if gate.least_score is None and gate.margin is None:
        raise InvalidRequest("The gate 'evaluation' needs 'least_score' or 'margin', or both.", param="gates")
    if gate.least_score is not None and not 0 < gate.least_score <= 1:
        raise InvalidRequest("A least score is above 0 and at most 1.", param="gates")
    if gate.margin is not None and not 0 <= gate.margin < 1:
        raise InvalidRequest("A margin of scores is from 0 to below 1.", param="gates")
    if not 0 <= gate.from_share <= 1:
        raise InvalidRequest("'from_share' is from 0 to 1.", param="gates")


def seen(gate: EvaluationGate, scores: SuiteScores) -> SeenEvaluation:
    """What the gate says of these scores. A result of other cases than the suite has now is none."""
    suite = f"the suite '{scores.suite_name}'"
    if not scores.suite_name:
        return SeenEvaluation("waiting", "No data: the suite that the gate names is not there.", scores)
    if scores.new is None or not scores.new.current:
        return SeenEvaluation("waiting", _no_data("new", scores.new, suite), scores)
    reached = f"The new version has {_told(scores.new)} in {suite}"
    if gate.least_score is not None and scores.new.score < gate.least_score - _ROUNDING:
        return SeenEvaluation("closed", f"{reached}; at least {gate.least_score:.1%} is asked for.", scores)
    if gate.margin is None:
        return SeenEvaluation("passed", f"{reached}.", scores)
    if scores.old is None or not scores.old.current:
        return SeenEvaluation("waiting", _no_data("old", scores.old, suite), scores)
    compared = f"{reached}, the old one {_told(scores.old)}"
    if scores.new.score < scores.old.score - gate.margin - _ROUNDING:
        return SeenEvaluation("closed", f"{compared}; it may have at most {gate.margin:.1%} less.", scores)
    return SeenEvaluation("passed", f"{compared}.", scores)


def awaited(gate: EvaluationGate | None, found: SeenEvaluation | None, share: float) -> str | None:
    """Why a step with this share may not begin yet, as a sentence; ``None`` when it may."""
    if gate is None or share < gate.from_share:
        return None
    if found is None:
        return "No data: the gate 'evaluation' was not looked at yet."
    return None if found.state == "passed" else found.why


def _no_data(which: str, found: ReachedScore | None, suite: str) -> str:
    if found is None:
        return f"No data: the {which} version has no completed evaluation by {suite}."
    return f"No data: the cases of {suite} were changed since the {which} version was evaluated."


def _told(reached: ReachedScore) -> str:
    return f"{reached.score:.1%} ({reached.passed} of {reached.total} cases)"
