"""How well the fleet is, as the control plane judges it: published in Redis for each tenant, and read by API, live page and alerts."""

from __future__ import annotations

from typing import Literal

import msgspec

Condition = Literal["healthy", "degraded", "unhealthy", "unknown"]
"""``degraded``: it works, and something is wrong; ``unhealthy``: it does not do its work; ``unknown``: nobody has judged it lately."""
Severity = Literal["critical", "warning", "notice"]
"""A notice is worth knowing and nothing is wrong, such as a node that drains."""
Value = float | int | str | bool | None

FRESH_SECONDS = 15.0
"""So old a report may be, three looks and a change of the leader: after that nobody knows how things are."""


class Finding(msgspec.Struct, omit_defaults=True):
    """One reason for a condition, with its evidence. ``since`` is in Unix seconds; ``values`` are what was measured and what it was compared with."""

    code: str
    severity: Severity
    text: str
    since: float
    values: dict[str, Value] = {}


class NodeHealth(msgspec.Struct, omit_defaults=True):
    """Of a node with findings; a node without any is healthy and in no list. ``name`` is the node's."""

    name: str
    state: Condition
    findings: list[Finding]


class ModelHealth(msgspec.Struct, omit_defaults=True):
    """The same of a model. ``id`` is that of the model behind the name, where there is one."""

    state: Condition
    findings: list[Finding]
    id: str = ""


class Counts(msgspec.Struct):
    """Nodes of a tenant by how they are, and the requests that can run at once. A node counts once, in the first of these:
    ``silent``, ``unhealthy``, ``draining``, ``degraded``, ``healthy``. ``capacity`` is that of the last two."""

    nodes: int = 0
    healthy: int = 0
    degraded: int = 0
    draining: int = 0
    unhealthy: int = 0
    silent: int = 0
    capacity: int = 0
    running: int = 0
    queued: int = 0


class FleetHealth(msgspec.Struct, omit_defaults=True):
    """All of one tenant's at one moment: ``at`` in Unix seconds. ``findings`` are about the fleet as a whole. Under the empty
    tenant: about the control plane itself."""

    at: float
    state: Condition
    counts: Counts
    nodes: dict[str, NodeHealth] = {}
    """By id (hex)."""
    models: dict[str, ModelHealth] = {}
    """By full name."""
    findings: list[Finding] = []


class FailedJob(msgspec.Struct):
    """A job of the registry that failed a while ago and that nobody has repeated with success since."""

    id: str
    kind: str
    model: str
    error: str
    at: float


encode_health = msgspec.json.Encoder().encode
decode_health = msgspec.json.Decoder(FleetHealth).decode
encode_failed_jobs = msgspec.json.Encoder().encode
decode_failed_jobs = msgspec.json.Decoder(list[FailedJob]).decode
