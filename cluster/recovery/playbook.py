"""The playbook that sets a node aside until it is well: quarantine, drain, verify, restore. What may begin, and which step follows, as pure decisions.

Each step is decided anew from what is so now. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from cluster.incidents.outcome import FAULTS

Step = Literal["quarantine", "drain", "verify", "restore"]
RunState = Literal["running", "done", "given_up", "stopped"]
HELPED = frozenset(
    {
        *("engine_crashed", "engine_hung", "engine_cache_full", "out_of_memory", "disk_full", "slow", "model_failed"),
        *("gpu_gone", "gpu_memory_errors", "gpu_fault", "gpu_throttled", "requests_failing", "clock_skew"),
        *FAULTS,
    }
)
"""Kinds of incidents of a node that need not run requests to come to an end. Of a node that is lost nothing can be moved."""
MOST_AN_HOUR = 6
"""Of a tenant: what befalls more nodes than that is no fault of single nodes."""
DRAIN_SECONDS = 120.0
CALM_SECONDS = 30.0
"""An incident must be over for so long before its node takes requests again."""
VERIFY_SECONDS = 1800.0


class RecoveryRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of the playbook, kept with its incident. Times in Unix seconds; ``by`` began it, ``why`` says how it ended."""

    step: Step
    state: RunState
    began_at: float
    step_at: float
    by: str = ""
    ended_at: float | None = None
    why: str = ""
    drains: bool = True
    """Whether what runs has to end within `DRAIN_SECONDS`; else it ends when it ends."""

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end; ``None`` while it runs."""
        return None if self.ended_at is None else self.ended_at - self.began_at


@dataclass(frozen=True)
class OtherNode:
    """Another node of the tenant that takes requests: its free slots, and the versions that it could run."""

    free: int
    versions: frozenset[str]


@dataclass(frozen=True)
class BeginFacts:
    """``running``: requests on the node, and ``versions`` that it could run. ``busy``: another run has this node. ``lately``: runs that the tenant began within the hour."""

    kind: str
    about: str
    is_open: bool
    schedulable: bool
    busy: bool
    lately: int
    running: int
    versions: frozenset[str]
    others: Collection[OtherNode]
    names: Mapping[str, str]
    """Version to what people call it."""


def refusal(facts: BeginFacts) -> str:
    """Why the playbook may not begin, in a sentence; empty when it may."""
    if facts.about != "node" or facts.kind not in HELPED:
        return "No playbook helps with this kind of incident."
    if not facts.is_open:
        return "The incident is over."
    if facts.busy:
        return "A playbook runs on this node already."
    if not facts.schedulable:
        return "The node takes no requests already: somebody set it aside."
    if facts.lately >= MOST_AN_HOUR:
        return f"{MOST_AN_HOUR} playbooks were begun within the hour: what befalls so many nodes has another cause."
    for version in sorted(facts.versions, key=lambda each: facts.names.get(each, each)):
        if not any(version in other.versions for other in facts.others):
            return f"No other node that takes requests has {facts.names.get(version, version)}."
    if sum(other.free for other in facts.others) < facts.running:
        return "The other nodes have too few free slots for what runs there."
    return ""


@dataclass(frozen=True)
class RunFacts:
    """``schedulable``: ``None`` where the node was taken out. ``drained``: nothing runs there. ``over_for``: seconds since the incident closed, ``None`` while it is open."""

    schedulable: bool | None
    drained: bool
    over_for: float | None


def advance(run: RecoveryRun, facts: RunFacts, now: float) -> RecoveryRun:
    """The run after one look, the same one where nothing is to be done. ``restore`` is reached before the node is told, and ``done`` after it."""
    if run.state != "running":
        return run
    if facts.schedulable is None:
        return _ended(run, "stopped", "The node was taken out.", now)
    if run.step == "quarantine":
        return run if facts.schedulable else _at(run, "drain", now)
    if run.step == "restore":
        return _ended(run, "done", "The node takes requests again.", now) if facts.schedulable else run
    if facts.schedulable:
        return _ended(run, "stopped", "Somebody let the node take requests.", now)
    if run.step == "drain":
        over = facts.drained or (run.drains and now - run.step_at > DRAIN_SECONDS)
        return _at(run, "verify", now) if over or now - run.step_at > VERIFY_SECONDS else run
    if facts.over_for is not None:
        return _at(run, "restore", now) if facts.over_for >= CALM_SECONDS else run
    if now - run.step_at > VERIFY_SECONDS:
        return _ended(run, "given_up", "The incident is not over; the node stays set aside.", now)
    return run


def stopped(run: RecoveryRun, by: str, now: float) -> RecoveryRun:
    """What becomes of a run that somebody stops."""
    return _ended(run, "stopped", f"{by} stopped it.", now)


def _at(run: RecoveryRun, step: Step, now: float) -> RecoveryRun:
    return msgspec.structs.replace(run, step=step, step_at=now)


def _ended(run: RecoveryRun, state: RunState, why: str, now: float) -> RecoveryRun:
    return msgspec.structs.replace(run, state=state, why=why, ended_at=now)
