"""Profile: what a tenant decided about how one of its models is served. Published with the model's name."""

from __future__ import annotations

from typing import Literal

import msgspec

Strategy = Literal["balanced", "least_busy", "round_robin", "fastest", "affinity", "cheapest"]
Outside = Literal["refuse", "route"]


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """``num_ctx`` and ``num_gpu`` are fixed for every instance, because a request that differs would force a reload."""

    strategy: Strategy = "balanced"
    num_ctx: int | None = None
    """Tokens of context that instances are loaded with; ``None`` is the engine's own default."""
    num_gpu: int | None = None
    """Layers on GPUs; ``None`` is the engine's own default."""
    outside: Outside = "refuse"
    """A request that needs more context than the profile gives: an error, or a node whose loaded instance has it."""
    continue_streams: bool = True
    """Whether a stream whose node died goes on elsewhere by re-prompting with what was sent."""
    first_byte_seconds: float = 120.0
    """Without any output for so long after a node began, the engine counts as hung. Loading a model counts, too."""
    regions: tuple[str, ...] = ()
    """Where the model may run; empty is everywhere."""
    labels: dict[str, str] = {}
    """Labels that a node must have."""
