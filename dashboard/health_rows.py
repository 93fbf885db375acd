"""What the live topics tell of health: the findings of a tenant's fleet as rows, and those of the control plane. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from ollamamax.contract.health import FRESH_SECONDS, Condition, Counts, Finding, FleetHealth, Severity

MOST_FINDINGS = 10_000
UNKNOWN = "health_unknown"


class FindingRow(msgspec.Struct):
    """One finding, and what it is about. ``key`` is the same as long as it stands."""

    key: str
    kind: Literal["node", "model", "fleet", "system"]
    id: str
    """Of the node (32 hexadecimal digits) or of the model; empty for what has none."""
    name: str
    code: str
    severity: Severity
    text: str
    since: float


class HealthShown(msgspec.Struct):
    """How the fleet is. ``at`` is when it was judged; ``None`` where it never was."""

    state: Condition
    at: float | None
    counts: Counts
    findings: list[FindingRow]
    """In no order: the worst is the most severe, and the oldest among those."""


class HealthChange(msgspec.Struct):
    state: Condition
    at: float | None
    counts: Counts
    changed: dict[str, FindingRow]
    """Key to a finding that is new, or says something else than before."""
    gone: list[str]
    whole: bool = False
    """Whether this is all there is, and replaces what was known."""


class SystemShown(msgspec.Struct):
    """How the control plane itself is. Told whole each time."""

    state: Condition
    at: float | None
    findings: list[FindingRow]


decode_row = msgspec.json.Decoder(FindingRow).decode


def judged(report: FleetHealth | None, system: FleetHealth | None, now: float) -> HealthShown:
    """How a tenant's fleet is, by its report and that on the control plane, which is there whenever anything was judged."""
    if system is None or now - system.at >= FRESH_SECONDS:
        return HealthShown("unknown", None if system is None else system.at, Counts(), [_unknown(system)])
    if report is None:
        none = Finding("no_nodes", "notice", "There is no node yet.", system.at)
        return HealthShown("healthy", system.at, Counts(), [_row("fleet", "", "", none, 0)])
    found = [
        *(
            _row("node", node, of.name, each, place)
            for node, of in report.nodes.items()
            for place, each in enumerate(of.findings)
        ),
        *(
            _row("model", of.id, name, each, place)
            for name, of in report.models.items()
            for place, each in enumerate(of.findings)
        ),
        *(_row("fleet", "", "", each, place) for place, each in enumerate(report.findings)),
    ]
    return HealthShown(report.state, report.at, report.counts, worst_first(found)[:MOST_FINDINGS])


def system_judged(system: FleetHealth | None, now: float) -> SystemShown:
    if system is None or now - system.at >= FRESH_SECONDS:
        return SystemShown("unknown", None if system is None else system.at, [_unknown(system)])
    return SystemShown(
        system.state, system.at, [_row("system", "", "", each, place) for place, each in enumerate(system.findings)]
    )


def worst_first(rows: Iterable[FindingRow]) -> list[FindingRow]:
    """As the management API lists them."""
    order = {"critical": 0, "warning": 1, "notice": 2}
    return sorted(rows, key=lambda row: (order[row.severity], row.since, row.code, row.text))


def _row(
    kind: Literal["node", "model", "fleet", "system"], id_: str, name: str, finding: Finding, place: int
) -> FindingRow:
    # A node may have the same finding twice, of two of its cards: their beginnings, or else their places, tell them apart.
    key = f"{kind}/{id_ or name}/{finding.code}/{finding.since}/{place}"
    return FindingRow(key, kind, id_, name, finding.code, finding.severity, finding.text, finding.since)


def _unknown(system: FleetHealth | None) -> FindingRow:
    text = "How the fleet is was never judged: no controller runs."
    since = 0.0
    if system is not None:
        text = "How the fleet is was not judged lately: no controller runs, or it does not keep up."
        since = system.at
    return FindingRow(UNKNOWN, "system", "", "", UNKNOWN, "critical", text, since)
