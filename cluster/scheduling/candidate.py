"""What routing decides upon: a request's wishes, a node as one version sees it, and a node with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import EVERYBODY

Residence = Literal["present", "ready", "loading", "loaded", "fetching", "failed"]


class Wanted(msgspec.Struct, frozen=True):
    """A request, as far as its node depends on it. ``prefixes`` is `cluster.scheduling.prompt.prefixes` of it."""

    tenant: str
    version: str
    profile: Profile = Profile()
    prefixes: tuple[int, ...] = ()
    num_ctx: int | None = None
    """The context that the request asks for; ``None`` leaves it to the profile and the engine."""
    prompt_tokens: int = 0
    """An estimate."""
    home: int | None = None
    """`cluster.scheduling.prompt.home`, where its client says what it begins like; else the first of ``prefixes`` says it."""

    @property
    def context(self) -> int:
        """Tokens of context that an instance must have to run it without a reload; 0 when any will do."""
        return max(self.num_ctx or 0, self.profile.num_ctx or 0)


@dataclass(slots=True)
class Candidate:
    """One version on one node. What nobody measured is ``None``.

    Not frozen: the fleet keeps one for each version of each node and brings it up to date in place, because making 200
    of them for a request takes longer than ranking them. Nothing in this package changes it.
    """

    node: str
    tenant: str
    residence: Residence
    capacity: int
    in_flight: int = 0
    """Requests given to it and not settled, as far as is known."""
    shared: bool = False
    """Whether it serves any other tenant than its own: those in ``access``."""
    access: frozenset[str] = frozenset({EVERYBODY})
    region: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    hourly_cost: float | None = None
    bar: str = ""
    """Why it takes no request of anybody (`eligibility.bar`); empty when it takes some."""
    context: int | None = None
    """Of the loaded instance, where another could be loaded."""
    most_context: int | None = None
    """Of the instance that is always loaded, where no other can be: engines whose server others start."""
    size: int | None = None
    fits: bool | None = None
    """Whether it could be loaded without putting others out; ``None`` when its size is not known."""
    load_ms: float | None = None
    first_token_ms: float | None = None
    """From the node's start on a request to its first token, without loading."""
    overhead_ms: float | None = None
    """The same without reading the prompt, where the engine tells how long that took."""
    prompt_speed: float | None = None
    """Tokens a second of prompts that were not cached."""
    speed: float | None = None
    """Tokens a second that it generates, in each of its streams, on the mean of late."""
    token_ms: float | None = None
    """What a token takes when nothing else runs there."""
    crowding_ms: float | None = None
    """What each other request adds to that."""
    salt: int = 0
    """`rendezvous.salt` of the node."""


class Ranked(msgspec.Struct, frozen=True):
    """A node with its place. ``score``: above 0 and at most 1, comparable within one decision only.

    ``parts``, from 0 to 1: ``loaded`` (1: in memory with enough context), ``room`` (free share of the slots), ``prefix`` (share of the
    prompt that it has read before), ``own`` (1: the tenant's own node), ``home`` (1: where every gateway would send this
    prompt first), ``region`` (1: not known to be in another region than the gateway; only where that knows its own). Expected milliseconds: ``wait_ms`` (for a slot), ``load_ms``, ``first_token_ms`` (the prompt included),
    ``prompt_ms`` (reading what is not cached), ``generation_ms``, ``harm_ms`` (added to those that run there).
    ``reason`` is the part in which it is ahead of the next: ``loaded``, ``prefix``, ``home``, ``idle``, ``fastest``, ``cheapest``, ``own``, ``region``,
    ``turn``, ``even`` (nothing tells them apart), ``last`` (there is no next), ``only``.
    """

    node: str
    score: float
    parts: dict[str, float]
    reason: str
