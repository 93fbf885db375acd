"""What a version has to show before it becomes production, besides approvals. Contexts above this one say what they ask for."""

from __future__ import annotations

from collections.abc import Callable

from models_registry.models import Release
from ollamamax.kernel.errors import Conflict

PromotionNeed = Callable[[Release], list[str]]
"""Sentences that say what the version lacks; none when it lacks nothing. In the tenant's scope; queries."""
NEEDS: list[PromotionNeed] = []


def require_needs(release: Release) -> None:
    """Raises `Conflict`, with all that the version lacks."""
    lacking = [sentence for need in NEEDS for sentence in need(release)]
    if lacking:
        raise Conflict(f"It cannot become production: {' '.join(lacking)}", param="stage", lacking=lacking)
