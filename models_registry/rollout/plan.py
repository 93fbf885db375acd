"""The steps of a rollout, its gates, and when it goes on, ends well or is taken back. Pure: no Django, no database."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal, get_args

import msgspec

from models_registry.rollout.evaluation import EvaluationGate, SeenEvaluation, awaited, check_evaluation_gate
from models_registry.rollout.evidence import AnswerBlock, Evidence
from ollamamax.kernel.errors import InvalidRequest

MOST_STEPS = 20
LONGEST_HOLD = 30 * 86400
MOST_REQUESTS = 1_000_000
BLOCK = 4
"""A block ends when both versions gave so many answers."""
KEPT = 101
"""Of a kind of node so many of the old version's times are kept, for their median."""
USUAL_FAILURES = 0.01
"""The share of failed answers that is assumed of the old version before it gave any."""

GateName = Literal["failures", "first_token", "speed"]
GATES: tuple[GateName, ...] = get_args(GateName)
LEVELS: dict[GateName, float] = {"failures": 0.005, "first_token": 0.0025, "speed": 0.0025}
"""The chance that a gate ever closes for a version that is no worse than it allows; of all together 1 %."""


class RolloutState(StrEnum):
    """``preloading``: nodes fetch the version. ``running``: a share of requests has it. ``paused``: that share stays, and its gates are looked at.
    ``done``: the channel points at it. ``rolled_back``: a gate or a person took it back. ``superseded``: the channel was moved by other means."""

    PRELOADING = "preloading"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"


OPEN = (RolloutState.PRELOADING, RolloutState.RUNNING, RolloutState.PAUSED)
ANSWERING = (RolloutState.RUNNING, RolloutState.PAUSED)
"""In these the new version is given its share."""


class RolloutStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``share`` of conversations, above 0 and at most 1, for at least so many seconds and answers of the new version. At 1 the channel is moved."""

    share: float
    seconds: float = 300.0
    requests: int = 100


STEPS = (RolloutStep(0.01), RolloutStep(0.05), RolloutStep(0.25), RolloutStep(0.5), RolloutStep(1.0, 0.0, 0))


class RolloutGates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much worse than the old version the new one may be. ``None``: it is not looked at.

    ``failures``: by so much may the share of failed answers be higher. ``first_token``, ``speed``: by so much may the time to the first token, and
    that for each further token, be longer, as a factor. ``evaluation``: what it has to have reached in a suite.
    """

    failures: float | None = 0.005
    first_token: float | None = 1.25
    speed: float | None = 1.25
    evaluation: EvaluationGate | None = None


class CountedAnswer(msgspec.Struct, frozen=True):
    """One answer that is counted. Milliseconds; ``None`` where it is not known."""

    new: bool
    kind: str
    """Of the node: answers are compared with those of the same kind."""
    failed: bool
    first_token_ms: float | None = None
    token_ms: float | None = None


class UnfilledBlock(msgspec.Struct):
    """Answers that no block has yet, of one kind of node."""

    old: list[float] = []
    new: list[float] = []


class GateProgress(msgspec.Struct):
    evidence: Evidence = msgspec.field(default_factory=Evidence)
    waiting: dict[str, UnfilledBlock] = {}
    kept: dict[str, list[float]] = {}
    """By kind of node, the old version's last times."""
    old: int = 0
    new: int = 0
    old_sum: float = 0.0
    new_sum: float = 0.0


class RolloutProgress(msgspec.Struct):
    """What is known of a rollout, besides what was asked for. ``answers``: of the new version in this step."""

    step: int = 0
    seconds: float = 0.0
    """That this step has lasted, pauses left out."""
    answers: int = 0
    gates: dict[GateName, GateProgress] = {}
    evaluation: SeenEvaluation | None = None


class RolloutVerdict(msgspec.Struct, frozen=True):
    """``go``: the next step; ``back``: take it back; ``hold``: neither, for the reason."""

    act: Literal["hold", "go", "back"]
    why: str


def check_steps(steps: Sequence[RolloutStep]) -> None:
    """Raises `InvalidRequest` for steps that do not rise to 1."""
    if not 1 <= len(steps) <= MOST_STEPS:
        raise InvalidRequest(f"A rollout has 1 to {MOST_STEPS} steps.", param="steps")
    for before, step in zip((None, *steps), steps, strict=False):
        if not 0 < step.share <= 1 or (before is not None and step.share <= before.share):
            raise InvalidRequest("Shares rise from step to step, above 0 and up to 1.", param="steps")
        if not 0 <= step.seconds <= LONGEST_HOLD or not 0 <= step.requests <= MOST_REQUESTS:
            raise InvalidRequest(
                f"A step takes 0 to {LONGEST_HOLD} seconds and 0 to {MOST_REQUESTS} requests.", param="steps"
            )
    if steps[-1].share != 1:
        raise InvalidRequest("The last step's share is 1.", param="steps")


def check_gates(gates: RolloutGates) -> None:
    """Raises `InvalidRequest` for what no gate can be."""
    if gates.failures is not None and not 0 <= gates.failures <= 0.5:
        raise InvalidRequest("The margin of errors is between 0 and 0.5.", param="gates")
    for factor in (gates.first_token, gates.speed):
        if factor is not None and not 1 <= factor <= 100:
            raise InvalidRequest("A factor of time is between 1 and 100.", param="gates")
    if gates.evaluation is not None:
        check_evaluation_gate(gates.evaluation)


def kept_gates(gates: RolloutGates) -> dict[str, Any]:
    """As JSON. A gate that is not asked for is left out: programs before it existed read the others still."""
    kept: dict[str, Any] = msgspec.to_builtins(gates)
    return kept if gates.evaluation is not None else {name: kept[name] for name in kept if name != "evaluation"}


def take(progress: RolloutProgress, gates: RolloutGates, answers: Sequence[CountedAnswer]) -> None:
    """Count these answers, each once, in the order in which they ended."""
    for answer in answers:
        progress.answers += answer.new
        if gates.failures is not None:
            _take(progress, "failures", gates.failures, answer, float(answer.failed))
        if answer.failed:
            continue
        if gates.first_token is not None and answer.first_token_ms is not None:
            _take(progress, "first_token", gates.first_token, answer, answer.first_token_ms)
        if gates.speed is not None and answer.token_ms is not None:
            _take(progress, "speed", gates.speed, answer, answer.token_ms)


def _take(progress: RolloutProgress, name: GateName, allowed: float, answer: CountedAnswer, value: float) -> None:
    gate = progress.gates.setdefault(name, GateProgress())
    if answer.new:
        gate.new += 1
        gate.new_sum += value
    else:
        gate.old += 1
        gate.old_sum += value
    waiting = gate.waiting.setdefault(answer.kind, UnfilledBlock())
    (waiting.new if answer.new else waiting.old).append(value)
    if min(len(waiting.old), len(waiting.new)) < BLOCK:
        return
    gate.waiting[answer.kind] = UnfilledBlock()
    if name == "failures":
        block = AnswerBlock(len(waiting.old), round(sum(waiting.old)), len(waiting.new), round(sum(waiting.new)))
        gate.evidence.take(answer.kind, block, margin=allowed, usual=USUAL_FAILURES)
        return
    # A time is bad when it is above the median of the old version's times that came before the block; the new version's times are
    # first made shorter by the factor that they may be longer.
    kept = gate.kept.setdefault(answer.kind, [])
    if kept:
        middle = sorted(kept)[len(kept) // 2]
        old_bad, new_bad = (
            sum(each > middle for each in waiting.old),
            sum(each / allowed > middle for each in waiting.new),
        )
        block = AnswerBlock(len(waiting.old), old_bad, len(waiting.new), new_bad)
        gate.evidence.take(answer.kind, block, margin=0.0, usual=0.5)
    gate.kept[answer.kind] = [*kept, *waiting.old][-KEPT:]


def closed(progress: RolloutProgress) -> GateName | None:
    """The gate that says that the new version is worse than it may be, if one does."""
    for name, gate in progress.gates.items():
        if gate.evidence.value >= math.log(1 / LEVELS[name]):
            return name
    return None


_SAID: dict[GateName, str] = {
    "failures": "fails more often",
    "first_token": "takes longer to the first token",
    "speed": "takes longer for each token",
}


def judge(
    progress: RolloutProgress, steps: Sequence[RolloutStep], evaluation: EvaluationGate | None = None
) -> RolloutVerdict:
    """What to do now, by what was counted, and by what was there of the gate ``evaluation`` at the last look."""
    if (name := closed(progress)) is not None:
        return RolloutVerdict(
            "back", f"The new version {_SAID[name]} than it may: {described(name, progress.gates[name])}."
        )
    if evaluation is not None and progress.evaluation is not None and progress.evaluation.state == "closed":
        return RolloutVerdict("back", progress.evaluation.why)
    step = steps[progress.step]
    if progress.answers < step.requests:
        return RolloutVerdict("hold", f"{progress.answers} of {step.requests} answers of the new version.")
    if progress.seconds < step.seconds:
        return RolloutVerdict("hold", f"{progress.seconds:.0f} of {step.seconds:.0f} seconds.")
    following = steps[progress.step + 1 : progress.step + 2]
    if following and (why := awaited(evaluation, progress.evaluation, following[0].share)) is not None:
        return RolloutVerdict("hold", why)
    return RolloutVerdict("go", "Time and answers of the step are full, and no gate closed.")


def described(name: GateName, gate: GateProgress) -> str:
    """What was measured of both versions."""
    old = f"{_mean(name, gate.old_sum, gate.old)} of the old one in {gate.old} answers"
    return f"{_mean(name, gate.new_sum, gate.new)} in {gate.new} answers, {old}"


def _mean(name: GateName, total: float, count: int) -> str:
    if not count:
        return "no data"
    return f"{100 * total / count:.1f} % failed" if name == "failures" else f"{total / count:.0f} ms on average"
