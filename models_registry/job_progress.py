"""How far a job is: the bytes of its parts, and the time that is left. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def bytes_of(progress: Iterable[Mapping[str, Any]]) -> tuple[int, int] | None:
    """Bytes that are done and in all, of all parts of Ollama's progress messages that say so; ``None`` while none does."""
    parts = [part for part in progress if part.get("total")]
    if not parts:
        return None
    return sum(min(part.get("completed") or 0, part["total"]) for part in parts), sum(part["total"] for part in parts)


def seconds_left(found: tuple[int, int] | None, bytes_per_second: float | None) -> float | None:
    """``None`` while nothing comes, or nobody knows how much it is."""
    if found is None or not bytes_per_second:
        return None
    done, total = found
    return (total - done) / bytes_per_second
