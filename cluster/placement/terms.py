"""The words that the placement of versions in memory is decided in: nodes, versions, what is loaded; and steps, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Verb = Literal["load", "unload", "move"]


class PlacementReason(StrEnum):
    """Why a version is loaded, unloaded or moved; shown to people."""

    DEMANDED = "it is asked for and in no memory"
    BELOW_LEAST = "there are fewer replicas in memory than there should be"
    MORE_DEMAND = "it is asked for by more than its replicas have slots for"
    IDLE = "nobody has asked for it lately"
    SPARE = "the other replicas have slots enough"
    ABOVE_MOST = "there are more replicas in memory than there may be"
    NOT_ADMITTED = "it may not run on this node any more"
    SCALED_UP = "autoscaling wants more replicas of it"
    SCALED_DOWN = "autoscaling wants fewer replicas of it"
    WARM = "it is likely to be asked for soon"
    ROOM = "its room is needed by another version"


@dataclass(frozen=True, slots=True)
class LoadTerms:
    """Where a version may be in memory, and how many replicas: from its models' profiles and terms of replication."""

    regions: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[str, ...] = ()
    spread: str = ""
    """A label, or ``region``: replicas are spread over its values."""
    priority: int = 0
    least: int = 0
    """Replicas in memory at least, whether it is asked for or not; at ``most``: ``None`` is as many as the demand needs."""
    most: int | None = None
    pinned: bool = False
    """What is in memory stays there."""


ANYWHERE = LoadTerms()


@dataclass(frozen=True, slots=True)
class PlacementNode:
    """``memory``: bytes that versions may take together. ``kind``: nodes of one kind need as much for a version (engine, slots).
    ``takes``: it is there, well, and takes requests. ``access``: other tenants that it serves (`ollamamax.contract.tables.EVERYBODY` for all)."""

    id: str
    tenant: str
    memory: int
    slots: int
    kind: str
    region: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    takes: bool = True


@dataclass(frozen=True, slots=True)
class PlacementVersion:
    """``needs``: bytes by kind of node; ``unknown`` says why a kind is missing. ``holders``: nodes that have it on disk. ``demand``: requests at once.
    ``idle_for``: seconds since it was last used. ``wanted``: replicas by autoscaling (`cluster.autoscaling`), which then count instead of the demand; ``None``: none is
    decided. ``warmth``: requests that are expected in the next half hour; ``None``: nobody wants it kept for that."""

    digest: str
    tenant: str
    needs: Mapping[str, int]
    holders: Collection[str]
    terms: LoadTerms = ANYWHERE
    demand: float = 0.0
    idle_for: float = math.inf
    wanted: int | None = None
    warmth: float | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class LoadedReplica:
    """A version in the memory of a node, or on its way into it, with the bytes that it takes."""

    node: str
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PlacementStep:
    """A ``move`` is loaded on ``node``, and then unloaded on ``source``. ``bytes`` come to ``node``, or leave it: what a step costs, where they come."""

    verb: Verb
    node: str
    digest: str
    reason: PlacementReason
    bytes: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class LoadShortage:
    """A version with fewer replicas in memory than it should have, and why."""

    digest: str
    replicas: int
    slots: int
    demand: float
    why: str


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """``exposed``: versions that are asked for, with the node that has their only replica, which would fit on no other one."""

    steps: tuple[PlacementStep, ...]
    shortages: tuple[LoadShortage, ...]
    exposed: tuple[tuple[str, str], ...]

    @property
    def cost(self) -> int:
        """Bytes that come into memory."""
        return sum(each.bytes for each in self.steps if each.verb != "unload")
