"""FoundTrouble: what is wrong with one thing right now, in the kinds in which incidents are kept; made of the findings about health and the states of nodes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ollamamax.contract.health import Finding, FleetHealth, Severity, Value

About = Literal["node", "model", "fleet", "system"]

KINDS: Mapping[str, str] = {
    "node_silent": "node_lost",
    "node_ignored": "node_not_understood",
    "node_faulty": "node_not_understood",
    "engine_down": "engine_crashed",
    "engine_missing": "engine_crashed",
    "engine_restarting": "engine_hung",
    "engine_frozen": "engine_hung",
    "no_tokens": "engine_hung",
    "gpu_ecc": "gpu_memory_errors",
    "gpu_memory_broken": "gpu_memory_errors",
    "gpu_hot": "gpu_throttled",
    "memory_full": "out_of_memory",
    "gpu_memory_full": "out_of_memory",
    "slower_than_before": "slow",
    "slower_than_peers": "slow",
    "queue_growing": "queue_stuck",
    "model_unavailable": "replica_missing",
    "loop_late": "control_plane",
    "loop_failing": "control_plane",
    "usage_waiting": "control_plane",
    "usage_refused": "control_plane",
}
"""Findings that are signs of one fault are one incident. Other codes are kinds themselves."""
MOST_EVIDENCE = 10
"""Findings that an incident keeps."""
MOST_TEXT, MOST_NAME, MOST_VALUES, MOST_VALUE = 500, 400, 20, 200
_RANK: Mapping[Severity, int] = {"critical": 0, "warning": 1, "notice": 2}


@dataclass(frozen=True)
class TroubleEvidence:
    code: str
    severity: Severity
    text: str
    values: dict[str, Value]


@dataclass
class FoundTrouble:
    """``about`` and ``id`` say what it is about; ``id`` is that of a node or a model (hex), or empty. The worst of ``evidence`` stands first."""

    kind: str
    about: About
    id: str
    name: str
    region: str
    evidence: list[TroubleEvidence] = field(default_factory=list)

    @property
    def subject(self) -> str:
        return f"{self.about}:{self.id or self.name}"

    @property
    def key(self) -> str:
        """The same for the same fault of the same thing: there is one open incident of each."""
        return hashlib.sha256(f"{self.region}\0{self.subject}\0{self.kind}".encode()).hexdigest()

    @property
    def severity(self) -> Severity:
        return self.evidence[0].severity

    @property
    def text(self) -> str:
        return self.evidence[0].text


def problems_of(
    report: FleetHealth, system: FleetHealth | None, absent: Mapping[str, tuple[str, str]], region: str
) -> dict[str, FoundTrouble]:
    """By key. ``absent``: id (hex) of each node that is unreachable or lost -> its name and which of the two. ``system``: the report on the control plane,
    where it belongs to this tenant. Notices are nothing wrong."""
    found: dict[str, FoundTrouble] = {}

    def add(about: About, id_: str, name: str, findings: Iterable[Finding]) -> None:
        for each in findings:
            # A node that never reported is joining, however long that takes.
            if each.severity == "notice" or (each.code == "node_silent" and not each.values):
                continue
            problem = FoundTrouble(
                _plain(KINDS.get(each.code, each.code), 64), about, id_, _plain(name, MOST_NAME), region
            )
            held = found.setdefault(problem.key, problem)
            values = {
                _plain(what, MOST_VALUE): _plain(value, MOST_VALUE) if isinstance(value, str) else value
                for what, value in list(each.values.items())[:MOST_VALUES]
            }
            text = _plain(each.text, MOST_TEXT)
            held.evidence.append(TroubleEvidence(_plain(each.code, 64), each.severity, text, values))

    add("fleet", "", "", report.findings)
    for id_, node in report.nodes.items():
        add("node", id_, node.name, node.findings)
    for name, model in report.models.items():
        add("model", model.id, name, model.findings)
    if system is not None:
        add("system", "", "", system.findings)
    for id_, (name, state) in absent.items():
        text = "It is not heard any more." if state == "unreachable" else "It is lost: it has not been heard for long."
        add("node", id_, name, [Finding("node_silent", "critical", text, 0.0, {"state": state})])
    for problem in found.values():
        problem.evidence.sort(key=lambda each: (_RANK[each.severity], each.code, each.text))
        del problem.evidence[MOST_EVIDENCE:]
    return found


def _plain(text: str, most: int) -> str:
    """What a node, or whoever named a model, said within it steers no terminal, log or letter, and can be kept: no line breaks, no marks that turn what is read, no NUL."""
    cut = text[:most]
    return cut if cut.isprintable() else "".join(each if each.isprintable() else "?" for each in cut)
