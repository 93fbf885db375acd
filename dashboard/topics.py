"""The topics of the live socket: what each tells, what it needs, and what may be asked of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from dashboard import health_rows, payloads


@dataclass(frozen=True)
class Topic:
    """``shown`` is what a subscription begins with, ``change`` what each event tells.

    ``held``: how many events are kept for who comes back; 0 where none are, and a subscription always begins with what is there.
    """

    name: str
    permission: str
    about: str
    shown: type[msgspec.Struct]
    change: type[msgspec.Struct]
    held: int = 0
    replaced: bool = False
    """Whether each event tells all of it."""
    of_nodes: bool = False
    """Whether ``ids`` choose among its nodes, and whoever may see single nodes sees those."""
    filters: frozenset[str] = field(default_factory=frozenset)
    also: str = ""
    """Another permission that it needs."""


MOST_IDS = 50
MOST_ROWS = 10_000

_ALL = (
    Topic(
        "fleet",
        "node.view",
        "Totals of the tenant's nodes and requests, once a second.",
        payloads.FleetShown,
        payloads.FleetChange,
        held=60,
    ),
    Topic(
        "health",
        "node.view",
        "How the fleet is, as the control plane judges it: each finding about a node, a model or the fleet. Every five seconds what changed.",
        health_rows.HealthShown,
        health_rows.HealthChange,
        held=30,
        also="model.view",
    ),
    Topic(
        "system",
        "tenant.manage",
        "How the control plane itself is.",
        health_rows.SystemShown,
        health_rows.SystemShown,
        held=1,
        replaced=True,
    ),
    Topic(
        "nodes",
        "node.view",
        "One short row for each node; once a second the fields that changed.",
        payloads.NodesShown,
        payloads.NodesChange,
        held=30,
        of_nodes=True,
        filters=frozenset({"ids", "limit"}),
    ),
    Topic(
        "node",
        "node.view",
        "Chosen nodes whole, with engines, GPUs and models, as they report.",
        payloads.NodeDetails,
        payloads.NodeDetails,
        of_nodes=True,
        filters=frozenset({"ids"}),
    ),
    Topic(
        "models",
        "model.view",
        "Where each model is, loaded or on its way; once a second the fields that changed.",
        payloads.ModelsShown,
        payloads.ModelsChange,
        held=30,
    ),
    Topic(
        "requests",
        "usage.view",
        "Requests that run, and those that ended last; four times a second where something changed.",
        payloads.RequestsShown,
        payloads.RequestsChange,
        held=120,
    ),
    Topic(
        "queue",
        "usage.view",
        "Requests that wait for a free slot, with their places and expected waits; once a second while any waits.",
        payloads.QueueShown,
        payloads.QueueShown,
        held=1,
        replaced=True,
    ),
    Topic(
        "jobs",
        "model.view",
        "Pulls, pushes, creations and deletions: what is under way, and what ended last.",
        payloads.JobsShown,
        payloads.JobsShown,
        held=1,
        replaced=True,
    ),
    Topic(
        "incidents",
        "node.view",
        "What broke and is not mended, and what was mended last.",
        payloads.IncidentsShown,
        payloads.IncidentsShown,
        held=1,
        replaced=True,
    ),
    Topic(
        "keys",
        "key.view",
        "What was done to API keys. Numbers are those of the audit trail.",
        payloads.Trail,
        payloads.Trail,
        held=200,
    ),
    Topic(
        "audit",
        "audit.view",
        "What was done, as the audit trail has it. Numbers are those of the trail.",
        payloads.Trail,
        payloads.Trail,
        held=200,
    ),
)
TOPICS = {topic.name: topic for topic in _ALL}
PUBLISHED = ("fleet", "health", "system", "nodes", "models", "requests", "queue")
"""Those that a control loop publishes in Redis; each web process makes the others itself, of Postgres and of the nodes' states."""
