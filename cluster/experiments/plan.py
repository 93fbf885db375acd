"""A run of a chaos experiment as pure decisions: which phase is on, what its nodes are ordered, when it is aborted, and when it is over.

Each look is decided anew from what is so now. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from cluster.experiments.terms import KILLS, ExperimentTerms
from ollamamax.contract.experiment import FaultOrder, FaultState, NodeFault

RunState = Literal["running", "done", "aborted", "stopped"]
RunStep = Literal["control", "fault", "recovery", "settle"]
"""``settle``: all phases are over, and their last usage records are waited for."""
TAKES_HOLD = 10.0
"""Seconds within which a node says that it suffers the fault, or falls silent by it."""
LONGEST_RECOVERY = 300.0
SETTLE_SECONDS = 10.0


class PhaseRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times in Unix seconds. ``nodes`` suffer the fault, or are to in the pair's other phase; ``boots`` are their processes' names before it.

    ``unwell_at``: when one of them was last seen that was not well; ``recovery_seconds``: from the kill, or the end of the fault, until all were."""

    kind: Literal["control", "fault"]
    pair: int
    nodes: tuple[str, ...]
    began_at: float
    ended_at: float | None = None
    order: str = ""
    boots: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    """That they had before it."""
    held: bool = False
    """Every one of its nodes has said that it suffers the fault, or fell silent."""
    unwell_at: float | None = None
    recovery_seconds: float | None = None


class RunPlan(msgspec.Struct, frozen=True):
    """One run, kept in its row. ``id`` names its orders."""

    id: str
    state: RunState
    step: RunStep
    step_at: float
    phases: tuple[PhaseRecord, ...] = ()
    why: str = ""
    ended_at: float | None = None


@dataclass(frozen=True)
class ExperimentNodeFacts:
    """One node now. ``well``: it is heard, takes requests, and its engine is healthy."""

    name: str
    heard: bool
    well: bool
    boot: str = ""
    allows: frozenset[NodeFault] = frozenset()
    fault: FaultState | None = None
    versions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ExperimentRunFacts:
    """``nodes`` of the tenant by id. ``requests`` and ``failed`` of the phase under way; ``names`` are what people call versions."""

    nodes: Mapping[str, ExperimentNodeFacts]
    requests: int
    failed: int
    stopped_by: str = ""
    names: Mapping[str, str] | None = None


def begun(run_id: str, terms: ExperimentTerms, facts: ExperimentRunFacts, now: float) -> RunPlan:
    """The first phase is on."""
    return _next_phase(RunPlan(run_id, "running", "control", now), terms, facts, now)


def refusal(terms: ExperimentTerms, targets: tuple[str, ...], facts: ExperimentRunFacts) -> str:
    """Why these nodes may not suffer the fault now, in a sentence; empty when they may."""
    for target in targets:
        node = facts.nodes.get(target)
        if node is None:
            return "A node of the experiment was taken out."
        if not node.heard:
            return f"{node.name} is not heard."
        if terms.fault not in node.allows:
            return (
                f"The owner of the host of {node.name} does not allow this fault there ('--allow-fault {terms.fault}')."
            )
        if not node.well:
            return f"{node.name} is not well already."
    return _alone(targets, _versions(targets, facts), facts)


def _versions(targets: tuple[str, ...], facts: ExperimentRunFacts) -> frozenset[str]:
    return frozenset[str]().union(*(facts.nodes[target].versions for target in targets if target in facts.nodes))


def _alone(targets: tuple[str, ...], had: frozenset[str], facts: ExperimentRunFacts) -> str:
    """That one of the versions has no node that is well besides these; empty when each has one."""
    others = [node.versions for id_, node in facts.nodes.items() if id_ not in targets and node.well]
    left = frozenset[str]().union(*others)
    names = facts.names or {}
    for version in sorted(had - left, key=lambda each: names.get(each, each)):
        return f"No other node that is well has {names.get(version, version)}."
    return ""


def advance(run: RunPlan, terms: ExperimentTerms, facts: ExperimentRunFacts, now: float) -> RunPlan:
    """The run after one look, the same one where nothing is to be done."""
    if run.state != "running":
        return run
    if facts.stopped_by:
        return _ended(run, "stopped", f"{facts.stopped_by} stopped it.", now)
    if run.step == "settle":
        return _ended(run, "done", "", now) if now - run.step_at >= SETTLE_SECONDS else run
    phase = run.phases[-1]
    if run.step == "recovery":
        return _recover(run, phase, terms, facts, now)
    share = facts.failed / facts.requests if facts.requests else 0.0
    if facts.requests >= terms.abort.requests and share > terms.abort.failed_share:
        why = f"{facts.failed} of {facts.requests} requests of this phase failed; it is to end above {terms.abort.failed_share:.0%}."
        return _ended(run, "aborted", why, now)
    if phase.kind == "fault":
        if why := _alone(phase.nodes, frozenset(phase.versions), facts):
            return _ended(run, "aborted", why, now)
        phase, why = _suffered(phase, terms, facts, now)
        run = _with(run, phase)
        if why:
            return _ended(run, "aborted", why, now)
    if now - phase.began_at < terms.seconds:
        return run
    run = _with(run, msgspec.structs.replace(phase, ended_at=now))
    if phase.kind == "fault":
        return msgspec.structs.replace(run, step="recovery", step_at=now)
    return _go_on(run, terms, facts, now)


def orders(run: RunPlan, terms: ExperimentTerms, now: float) -> dict[str, FaultOrder]:
    """What nodes are ordered now, by node; nothing once the run is over."""
    if run.state != "running" or run.step != "fault":
        return {}
    phase = run.phases[-1]
    left = max(1.0, terms.seconds - (now - phase.began_at))
    order = FaultOrder(phase.order, terms.fault, left, terms.milliseconds)
    return dict.fromkeys(phase.nodes, order)


def kinds(terms: ExperimentTerms, pair: int) -> tuple[Literal["control", "fault"], ...]:
    """The phases of a pair: the one without the fault comes first, and in the next pair last, so that what drifts by itself cancels out."""
    if terms.control == "nodes":
        return ("fault",)
    return ("control", "fault") if pair % 2 == 0 else ("fault", "control")


def _recover(
    run: RunPlan, phase: PhaseRecord, terms: ExperimentTerms, facts: ExperimentRunFacts, now: float
) -> RunPlan:
    if not phase.held and all(_obeyed(facts.nodes.get(target), phase) for target in phase.nodes):
        phase = msgspec.structs.replace(phase, held=True)
        run = _with(run, phase)
    unwell = [target for target in phase.nodes if not _is_over(facts.nodes.get(target), phase)]
    if unwell:
        run = _with(run, msgspec.structs.replace(phase, unwell_at=now))
        if now - run.step_at <= LONGEST_RECOVERY:
            return run
        node = facts.nodes.get(unwell[0])
        name = "A node of the experiment" if node is None else node.name
        return _ended(run, "aborted", f"{name} was not well {LONGEST_RECOVERY:g} s after the fault.", now)
    since = phase.began_at if terms.fault in KILLS else phase.ended_at or now
    seconds = 0.0 if phase.unwell_at is None else round(max(0.0, min(now, phase.unwell_at + 1.0) - since), 1)
    return _go_on(_with(run, msgspec.structs.replace(phase, recovery_seconds=seconds)), terms, facts, now)


def _is_over(node: ExperimentNodeFacts | None, phase: PhaseRecord) -> bool:
    """Whether the node is well and suffers nothing."""
    return (
        node is not None
        and node.well
        and (node.fault is None or node.fault.id != phase.order or node.fault.state != "on")
    )


def _obeyed(node: ExperimentNodeFacts | None, phase: PhaseRecord) -> bool:
    """Whether the node says that it took the phase's order; one whose agent stood still says so afterwards."""
    return (
        node is not None and node.fault is not None and node.fault.id == phase.order and node.fault.state != "refused"
    )


def _suffered(
    phase: PhaseRecord, terms: ExperimentTerms, facts: ExperimentRunFacts, now: float
) -> tuple[PhaseRecord, str]:
    """The phase with what its nodes show, and why the run must end."""
    held = True
    for target, boot in zip(phase.nodes, phase.boots, strict=True):
        node = facts.nodes.get(target)
        if node is None:
            return phase, "A node of the experiment was taken out."
        if node.fault is not None and node.fault.id == phase.order and node.fault.state == "refused":
            return phase, f"{node.name} refused the fault: {node.fault.why}"
        if not node.well:
            phase = msgspec.structs.replace(phase, unwell_at=now)
        held = held and (_obeyed(node, phase) or not node.heard or node.boot != boot)
    if held and not phase.held:
        phase = msgspec.structs.replace(phase, held=True)
    if not phase.held and now - phase.began_at > TAKES_HOLD:
        return phase, f"The fault did not take hold within {TAKES_HOLD:g} s."
    return phase, ""


def _go_on(run: RunPlan, terms: ExperimentTerms, facts: ExperimentRunFacts, now: float) -> RunPlan:
    wanted = sum(len(kinds(terms, pair)) for pair in range(terms.repeats))
    if len(run.phases) >= wanted:
        return msgspec.structs.replace(run, step="settle", step_at=now)
    return _next_phase(run, terms, facts, now)


def _next_phase(run: RunPlan, terms: ExperimentTerms, facts: ExperimentRunFacts, now: float) -> RunPlan:
    each = len(kinds(terms, 0))
    pair = len(run.phases) // each
    kind = kinds(terms, pair)[len(run.phases) % each]
    targets = terms.targets(pair)
    phase = PhaseRecord(kind, pair, targets, now)
    if kind == "fault":
        if why := refusal(terms, targets, facts):
            return _ended(run, "aborted", why, now)
        phase = msgspec.structs.replace(
            phase,
            order=f"{run.id}.{len(run.phases)}",
            boots=tuple(facts.nodes[target].boot for target in targets),
            versions=tuple(sorted(_versions(targets, facts))),
        )
    return msgspec.structs.replace(run, step=kind, step_at=now, phases=(*run.phases, phase))


def _with(run: RunPlan, phase: PhaseRecord) -> RunPlan:
    return msgspec.structs.replace(run, phases=(*run.phases[:-1], phase))


def _ended(run: RunPlan, state: RunState, why: str, now: float) -> RunPlan:
    phases = run.phases
    if phases and phases[-1].ended_at is None:
        phases = (*phases[:-1], msgspec.structs.replace(phases[-1], ended_at=now))
    return msgspec.structs.replace(run, state=state, why=why, ended_at=now, phases=phases)
