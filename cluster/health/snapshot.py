"""What health is judged by: everything that is known of the fleet at one moment. Frozen, no I/O. Durations are in seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ollamamax.contract import ModelState, Vitals
from ollamamax.contract.health import FailedJob
from ollamamax.contract.measured import Ended
from ollamamax.contract.tables import Registered


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A node of the directory. ``vitals`` is ``None`` when it says nothing, or nothing that can be taken: ``problem`` then says why.
    ``cut``: it is cut off. ``failed`` are those of its models that could not be made ready; ``loading``: one is being loaded."""

    id: str
    registered: Registered
    vitals: Vitals | None = None
    failed: Sequence[ModelState] = ()
    loading: bool = False
    problem: str = ""
    cut: bool = False


@dataclass(frozen=True, slots=True)
class SeenModel:
    """A name of a tenant's, and the version behind it. ``id`` is the model's."""

    tenant: str
    name: str
    version: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class SeenLoop:
    """A control loop: how long ago its last run began, how often it should, and what ended that run."""

    name: str
    ago: float
    every: float
    took: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``now`` in Unix seconds. ``ended`` are the requests that ended since the look before; ``queued`` is by tenant.

    ``holders``: version -> ids of the nodes that have it; ``coming``: versions that some node fetches; ``fetching``: ids of those nodes. ``version`` is that of this control plane. ``usage_waiting``: records that Postgres has not taken yet; ``usage_refused``: those that it refused.
    """

    now: float
    version: str
    nodes: Sequence[SeenNode] = ()
    models: Sequence[SeenModel] = ()
    holders: Mapping[str, Collection[str]] = field(default_factory=dict)
    coming: Collection[str] = ()
    fetching: Collection[str] = frozenset()
    ended: Sequence[Ended] = ()
    queued: Mapping[str, int] = field(default_factory=dict)
    failed_jobs: Mapping[str, Sequence[FailedJob]] = field(default_factory=dict)
    loops: Sequence[SeenLoop] = ()
    usage_waiting: int = 0
    usage_refused: int = 0
