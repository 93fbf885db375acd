"""The steps of a rollout, its gates, and when it goes on, ends well or is taken back. Pure: no Django, no database."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Literal, get_args

import msgspec

from models_registry.rollout.before import BLOCK, KEPT, MeasuredBefore, dealt
from models_registry.rollout.evaluation import EvaluationGate, SeenEvaluation, awaited, check_evaluation_gate
from models_registry.rollout.evidence import AnswerBlock, Evidence, SeenRates
from models_registry.rollout.shadow import ShadowComparison, same_enough
from models_registry.rollout.steps import RolloutStep, share_of
from ollamamax.kernel.errors import InvalidRequest

USUAL_FAILURES = 0.01
"""The share of failed answers that is assumed of the old version before it gave any."""

MOST_UNFILLED = 500
"""Of one version's answers that wait for the other's to fill a block; those beyond are in no block, whatever they are."""

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


class RolloutGates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much worse than the old version the new one may be. ``None``: it is not looked at.

    ``failures``: by so much may the share of failed answers be higher. ``first_token``, ``speed``: by so much may the time to the first token, and
    that for each further token, be longer, as a factor. ``evaluation``: what it has to have reached in a suite. ``same_answers``: so large a share of
    the answers to shadow traffic at temperature 0 has to be the old version's before any other step begins.
    """

    failures: float | None = 0.005
    first_token: float | None = 1.25
    speed: float | None = 1.25
    evaluation: EvaluationGate | None = None
    same_answers: float | None = None


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
    before: dict[str, MeasuredBefore] | None = None
    """By kind of node, what the old version answered before the switch; ``None`` while both versions answer at the same time."""

    @property
    def blocks_left(self) -> int | None:
        """How many blocks can be compared yet with what was measured before the switch."""
        return None if self.before is None else sum(len(each.blocks) for each in self.before.values())


class HeldReplicas(msgspec.Struct, frozen=True):
    """Nodes that have a version whole, and those of them that have it in memory."""

    old: int = 0
    new: int = 0
    old_loaded: int = 0
    new_loaded: int = 0


class RolloutProgress(msgspec.Struct):
    """What is known of a rollout, besides what was asked for. ``answers``: of the new version in this step."""

    step: int = 0
    seconds: float = 0.0
    """That this step has lasted, pauses left out."""
    answers: int = 0
    gates: dict[GateName, GateProgress] = {}
    evaluation: SeenEvaluation | None = None
    shadow: ShadowComparison | None = None
    """Of steps with shadow traffic; ``None`` before any was compared."""
    replicas: HeldReplicas | None = None
    """At the last look; ``None`` before the first."""


class RolloutVerdict(msgspec.Struct, frozen=True):
    """``go``: the next step; ``back``: take it back; ``hold``: neither, for the reason."""

    act: Literal["hold", "go", "back"]
    why: str


def check_gates(gates: RolloutGates) -> None:
    """Raises `InvalidRequest` for what no gate can be."""
    if gates.failures is not None and not 0 <= gates.failures <= 0.5:
        raise InvalidRequest("The margin of errors is between 0 and 0.5.", param="gates")
    for factor in (gates.first_token, gates.speed):
        if factor is not None and not 1 <= factor <= 100:
            raise InvalidRequest("A factor of time is between 1 and 100.", param="gates")
    if gates.same_answers is not None and not 0 < gates.same_answers <= 1:
        raise InvalidRequest("A share of same answers is above 0 and at most 1.", param="gates")
    if gates.evaluation is not None:
        check_evaluation_gate(gates.evaluation)


_ADDED = frozenset({"evaluation", "same_answers"})


def kept_gates(gates: RolloutGates) -> dict[str, Any]:
    """As JSON. A gate that is not asked for is left out: programs before it existed read the others still."""
    kept: dict[str, Any] = msgspec.to_builtins(gates)
    return {name: kept[name] for name in kept if kept[name] is not None or name not in _ADDED}


def take(progress: RolloutProgress, gates: RolloutGates, answers: Sequence[CountedAnswer]) -> None:
    """Count these answers, each once, in the order in which they ended."""
    for answer in answers:
        progress.answers += answer.new
        for name, allowed, value in _values(gates, answer):
            _take(progress, name, allowed, answer, value)


def compare_with(
    progress: RolloutProgress, gates: RolloutGates, answers: Sequence[CountedAnswer], requests: int
) -> None:
    """From now on the new version alone answers, and is compared with these answers of the old one, in the order of their requests.

    ``requests``: so many answers of the new version are waited for at least.
    """
    values: dict[GateName, dict[str, list[float]]] = {}
    for answer in answers:
        for name, _, value in _values(gates, answer):
            values.setdefault(name, {}).setdefault(answer.kind, []).append(value)
    for name in GATES:
        if getattr(gates, name) is None:
            continue
        gate = progress.gates.setdefault(name, GateProgress())
        found = values.get(name, {})
        gate.waiting, gate.kept = {}, {}
        gate.new, gate.new_sum = 0, 0.0
        gate.old, gate.old_sum = sum(map(len, found.values())), math.fsum(map(math.fsum, found.values()))
        gate.before = {kind: dealt(some, requests, times=name != "failures") for kind, some in found.items()}
        for kind, each in gate.before.items():
            if each.learned[0]:
                gate.evidence.rates[kind] = SeenRates(*each.learned)


def _values(gates: RolloutGates, answer: CountedAnswer) -> Iterator[tuple[GateName, float, float]]:
    """By gate that looks at it: how much worse it may be, and the value."""
    if gates.failures is not None:
        yield "failures", gates.failures, float(answer.failed)
    if answer.failed:
        return
    if gates.first_token is not None and answer.first_token_ms is not None:
        yield "first_token", gates.first_token, answer.first_token_ms
    if gates.speed is not None and answer.token_ms is not None:
        yield "speed", gates.speed, answer.token_ms


def _take(progress: RolloutProgress, name: GateName, allowed: float, answer: CountedAnswer, value: float) -> None:
    gate = progress.gates.setdefault(name, GateProgress())
    if gate.before is not None and not answer.new:
        return  # its request came before the switch: what that is compared with is dealt out already
    if answer.new:
        gate.new += 1
        gate.new_sum += value
    else:
        gate.old += 1
        gate.old_sum += value
    waiting = gate.waiting.setdefault(answer.kind, UnfilledBlock())
    side = waiting.new if answer.new else waiting.old
    if len(side) < MOST_UNFILLED:
        side.append(value)
    if gate.before is not None:
        _take_after(gate, name, allowed, answer.kind)
        return
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


def _take_after(gate: GateProgress, name: GateName, allowed: float, kind: str) -> None:
    """Compare a full block of the new version's answers with one of the old version's from before the switch, as long as there are any."""
    waiting = gate.waiting[kind].new
    if len(waiting) < BLOCK:
        return
    gate.waiting[kind] = UnfilledBlock()
    before = (gate.before or {}).get(kind)
    if before is None or not before.blocks:
        return
    old, old_bad = before.blocks.pop(0)
    if name == "failures":
        block = AnswerBlock(old, old_bad, len(waiting), round(sum(waiting)))
        gate.evidence.take(kind, block, margin=allowed, usual=USUAL_FAILURES)
    elif (middle := before.middle) is not None:
        block = AnswerBlock(old, old_bad, len(waiting), sum(each / allowed > middle for each in waiting))
        gate.evidence.take(kind, block, margin=0.0, usual=0.5)


def begin_step(progress: RolloutProgress, steps: Sequence[RolloutStep], number: int) -> None:
    """What was measured in steps of shadow traffic stands by itself: in later ones other requests are compared, though evidence is kept."""
    if number and steps[number - 1].shadow and not steps[number].shadow:
        for gate in progress.gates.values():
            gate.waiting, gate.kept = {}, {}
            gate.old = gate.new = 0
            gate.old_sum = gate.new_sum = 0.0
    progress.step, progress.seconds, progress.answers = number, 0.0, 0


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
    progress: RolloutProgress,
    steps: Sequence[RolloutStep],
    evaluation: EvaluationGate | None = None,
    same_answers: float | None = None,
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
    if step.shadow and not any(each.shadow for each in steps[progress.step + 1 : progress.step + 2]):
        act, why_not = same_enough(same_answers, progress.shadow or ShadowComparison())
        if act != "go":
            return RolloutVerdict(act, why_not)
    following = progress.step + 1
    if following < len(steps) and (why := awaited(evaluation, progress.evaluation, share_of(steps, following))):
        return RolloutVerdict("hold", why)
    return RolloutVerdict("go", "Time and answers of the step are full, and no gate closed.")


def described(name: GateName, gate: GateProgress) -> str:
    """What was measured of both versions."""
    when = "" if gate.before is None else " from before the switch"
    old = f"{_mean(name, gate.old_sum, gate.old)} of the old one in {gate.old} answers{when}"
    return f"{_mean(name, gate.new_sum, gate.new)} in {gate.new} answers, {old}"


def _mean(name: GateName, total: float, count: int) -> str:
    if not count:
        return "no data"
    return f"{100 * total / count:.1f} % failed" if name == "failures" else f"{total / count:.0f} ms on average"
