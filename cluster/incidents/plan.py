"""What becomes of incidents: which are opened, opened again, changed and closed, by what is wrong now and what is kept. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.incidents.trouble import FoundTrouble
from ollamamax.contract.health import Severity

REOPENED_SECONDS = 600.0
"""A fault that is back so soon after its end is the same incident."""
MOST_OPENED_OF_ONE = 10
"""Incidents about one thing within an hour: who lies about itself fills no list."""
CALM_REOPENED, CALM_SECONDS = 3, 15.0
"""An incident that came back so often stays open for a while after its signs are gone, twice as long each time: what comes and goes is one fault, and nobody is
told of it at each look."""
ESCALATED_SECONDS = 600.0
"""That an incident became worse is told once in so long: it may become better and worse at each look."""
MOST_OPEN = 500
"""Open ones of a tenant."""
REWRITTEN_SECONDS = 30.0
"""TroubleEvidence whose numbers alone changed is written again after so long."""
MOST_ENTRIES, FIRST_ENTRIES = 100, 20
"""Of a timeline: the first ones stay, and the newest."""
_RANK: Mapping[Severity, int] = {"critical": 0, "warning": 1, "notice": 2}


@dataclass(frozen=True)
class KeptIncident:
    """An incident that is open, or was lately. Times in Unix seconds."""

    key: str
    severity: Severity
    text: str
    changed_at: float
    closed_at: float | None = None
    reopened: int = 0


@dataclass
class IncidentSteps:
    """Keys of incidents. Those in ``worse`` and ``better`` are in ``changed``, too; ``refused`` would have been too many."""

    opened: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    better: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.opened or self.reopened or self.changed or self.closed)


def plan(
    problems: Mapping[str, FoundTrouble], held: Mapping[str, KeptIncident], opened_lately: Mapping[str, int], now: float
) -> IncidentSteps:
    """``held``: the open incidents, and the newest closed one of each key whose end is not long ago. ``opened_lately``: subject -> how many incidents
    about it began within the last hour."""
    made, counts = IncidentSteps(), dict(opened_lately)
    room = MOST_OPEN - sum(each.closed_at is None for each in held.values())
    for key, problem in sorted(problems.items(), key=lambda each: (_RANK[each[1].severity], each[0])):
        known = held.get(key)
        if known is not None and known.closed_at is None:
            _compare(made, key, problem, known, now)
        elif room <= 0 or counts.get(problem.subject, 0) >= MOST_OPENED_OF_ONE:
            made.refused.append(key)
        elif known is not None and known.closed_at is not None and now - known.closed_at < REOPENED_SECONDS:
            made.reopened.append(key)
            room -= 1
        else:
            made.opened.append(key)
            counts[problem.subject] = counts.get(problem.subject, 0) + 1
            room -= 1
    made.closed = [
        key
        for key, known in held.items()
        # A clock that was set back keeps none open.
        if known.closed_at is None and key not in problems and not 0 <= now - known.changed_at < _calm(known.reopened)
    ]
    return made


def _calm(reopened: int) -> float:
    return 0.0 if reopened < CALM_REOPENED else min(REOPENED_SECONDS, CALM_SECONDS * 2.0 ** (reopened - CALM_REOPENED))


def is_told_worse(timeline: list[dict[str, str]], now: datetime.datetime) -> bool:
    """Whether the last step of a timeline, which says that it became worse, is told: none lately was."""
    before = [each["at"] for each in timeline[:-1] if each["what"] == "worse"]
    if not before:
        return True
    return abs((now - datetime.datetime.fromisoformat(before[-1])).total_seconds()) >= ESCALATED_SECONDS


def _compare(made: IncidentSteps, key: str, problem: FoundTrouble, known: KeptIncident, now: float) -> None:
    if problem.severity != known.severity:
        made.changed.append(key)
        (made.worse if _RANK[problem.severity] < _RANK[known.severity] else made.better).append(key)
    elif problem.text != known.text and now - known.changed_at >= REWRITTEN_SECONDS:
        made.changed.append(key)


def entered(timeline: list[dict[str, str]], entry: dict[str, str]) -> list[dict[str, str]]:
    """The timeline with one entry more."""
    grown = [*timeline, entry]
    if len(grown) <= MOST_ENTRIES:
        return grown
    return [*grown[:FIRST_ENTRIES], *grown[FIRST_ENTRIES - MOST_ENTRIES :]]
