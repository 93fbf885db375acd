"""ReplicationTerms: what a tenant decided about the copies of its versions: how many, where, how fast they come, and what goes when room is short.

Pure: no Django, no database.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from models_registry.replication import scaling
from models_registry.replication.scaling import ScalingTerms

MOST_COPIES = 10_000
MOST_PRIORITY = 100
LEAST_RATE = 64 << 10
"""Bytes a second: below that a transfer would look like one that stands still."""
RATE_HEADER = "X-OllamaMax-Bytes-Per-Second"
"""Of an answer with a blob: a node takes no more of it each second."""
REGION_RATE_HEADER = "X-OllamaMax-Region-Bytes-Per-Second"
"""Likewise of all nodes of a region together: a node asks for leave before it takes bytes."""

Eviction = Literal["oldest", "least_used", "largest"]
EVICTIONS: tuple[Eviction, ...] = ("oldest", "least_used", "largest")


class ReplicationTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a model, or of all models of a tenant that have none of their own. As by default, every node that can has every version."""

    least: int | None = None
    """So many copies are made and kept; ``None``: one on every node that may have it."""
    most: int | None = None
    """Copies beyond are taken away; those between ``least`` and ``most`` stay until their room is needed. ``None``: no bound."""
    regions: tuple[str, ...] = ()
    """Where copies may lie; empty is everywhere."""
    labels: dict[str, str] = {}
    """Labels that a node must have."""
    spread: str = ""
    """A label whose values copies are spread over, such as ``rack``; or ``region``."""
    priority: int = 0
    """Higher ones come first, where room, memory or bandwidth is short."""
    least_loaded: int | None = None
    """Replicas in memory that there are to be at least, whether it is asked for or not (`cluster.placement`); ``None``: none."""
    most_loaded: int | None = None
    """And at most; ``None``: as many as the demand needs."""
    scaling: ScalingTerms | None = None
    """How many there are between those two: by an objective (`cluster.autoscaling`); ``None``: as many as the demand has slots for."""
    pinned: bool = False
    """What is in memory stays there, whatever else needs room."""
    bytes_per_second: int | None = None
    """Of one node's transfers of the version, all ways together by which its bytes come."""
    region_bytes_per_second: int | None = None
    """Of all transfers of all versions of the tenant to nodes of one region; of a tenant's terms only."""
    window_from: int | None = None
    """Minutes after midnight UTC between which bytes may be transferred, to before ``window_until``; both or neither."""
    window_until: int | None = None
    quota_bytes: int | None = None
    """How much of a node's disk all versions of the tenant may take together; of a tenant's terms only."""
    automatic: bool = False
    """Whether plans of what is in memory are carried out by themselves (`models_registry.actions.loading`); of a tenant's terms only."""
    keep_warm: bool = False
    """Whether models that nobody asks for are kept in memory, and loaded, by how likely they are asked for soon; of a tenant's terms only."""
    evict: Eviction = "oldest"
    """What goes first where room is needed: who came first, who was last used longest ago, or the largest."""

    @property
    def places(self) -> bool:
        """Whether they say anything about where copies lie."""
        return bool(
            self.least is not None
            or self.most is not None
            or self.regions
            or self.labels
            or self.quota_bytes is not None
        )

    def admits(self, region: str, labels: Mapping[str, str]) -> bool:
        """Whether a node of this region, with these labels, may have a copy."""
        return (not self.regions or region in self.regions) and self.labels.items() <= labels.items()

    def opens_in(self, now: datetime.datetime) -> float:
        """Seconds until bytes may be transferred; 0 when they may now."""
        if self.window_from is None or self.window_until is None or self.window_from == self.window_until:
            return 0.0
        at = now.astimezone(datetime.UTC)
        minute = at.hour * 60 + at.minute
        begins, ends = self.window_from, self.window_until
        is_open = begins <= minute < ends if begins < ends else minute >= begins or minute < ends
        return 0.0 if is_open else (begins - minute) % (24 * 60) * 60.0 - at.second


def told_rate(header: str) -> int | None:
    """What the header says; ``None`` for what says nothing. Never less than `LEAST_RATE`."""
    return max(LEAST_RATE, int(header)) if header.isascii() and header.isdigit() and len(header) < 20 else None


def ruling(terms: Collection[ReplicationTerms]) -> ReplicationTerms:
    """The terms of a version that several models have: those of the highest priority, and among them those that ask for the most copies."""
    return max(
        terms,
        key=lambda each: (
            each.priority,
            MOST_COPIES + 1 if each.least is None else each.least,
            msgspec.json.encode(each),
        ),
    )


def objection(terms: ReplicationTerms, *, of_tenant: bool) -> tuple[str, str] | None:
    """The field of terms that cannot be, and why; ``None`` for good ones."""
    if terms.least is not None and terms.most is not None and terms.most < terms.least:
        return "most", f"'most' is {terms.most}, and 'least' {terms.least}: it cannot be less."
    if terms.least is None and terms.most is not None:
        return "most", "'most' needs 'least': without it every node has a copy."
    if terms.most_loaded is not None and terms.most_loaded < (terms.least_loaded or 0):
        return (
            "most_loaded",
            f"'most_loaded' is {terms.most_loaded}, and 'least_loaded' {terms.least_loaded}: it cannot be less.",
        )
    if terms.scaling is not None and (refused := scaling.objection(terms.scaling)) is not None:
        return "scaling", refused
    if terms.keep_warm and not of_tenant:
        return "keep_warm", "What is kept warm is decided of all models together: 'keep_warm' is of a tenant's terms."
    if (terms.window_from is None) != (terms.window_until is None):
        return "window_from", "A window has both a beginning and an end."
    if terms.quota_bytes is not None and not of_tenant:
        return "quota_bytes", "A quota is of a tenant's terms, for all of its models together."
    if terms.automatic and not of_tenant:
        return "automatic", "Plans are of all models together: 'automatic' is of a tenant's terms."
    if terms.region_bytes_per_second is not None and not of_tenant:
        return "region_bytes_per_second", "A region's speed is of a tenant's terms, for all of its models together."
    return None
