"""Fallbacks: which models stand in for a name, and for which causes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models_registry.manifest import split_name
from ollamamax.contract.tables import CAUSES, Fallback
from ollamamax.kernel.errors import InvalidRequest

MOST = 5
MOST_SECONDS = 60.0


def next_time(fallbacks: Iterable[Fallback], waited: float) -> float | None:
    """For how many seconds a request waits until one of them may serve it, when those up to ``waited`` could not."""
    times = (each.after_seconds for each in fallbacks)
    return min((time for time in times if time is not None and time > waited), default=None)


def due(fallbacks: Iterable[Fallback], waited: float) -> list[Fallback]:
    """Those that may serve a request that has waited for so many seconds."""
    return [each for each in fallbacks if each.after_seconds is not None and each.after_seconds <= waited]


def checked(names: Iterable[str], fallbacks: Sequence[Fallback]) -> list[Fallback]:
    """With full names. ``names`` are those that the fallbacks are for. Raises `InvalidRequest`."""
    own = set(names)
    found: list[Fallback] = []
    for fallback in fallbacks:
        full = ":".join(split_name(fallback.model))
        if full in own:
            raise InvalidRequest(f"'{full}' cannot stand in for itself.", param="fallbacks")
        if any(full == each.model for each in found):
            raise InvalidRequest(f"'{full}' is among the fallbacks twice.", param="fallbacks")
        if not fallback.causes:
            raise InvalidRequest(f"The fallback '{full}' serves no cause.", param="fallbacks")
        if fallback.after_seconds is not None and "no_capacity" not in fallback.causes:
            problem = f"The fallback '{full}' has 'after_seconds', but does not serve 'no_capacity'."
            raise InvalidRequest(problem, param="fallbacks")
        causes = tuple(cause for cause in CAUSES if cause in fallback.causes)
        found.append(Fallback(full, causes, fallback.after_seconds))
    if len(found) > MOST:
        raise InvalidRequest(f"A name has {MOST} fallbacks at most.", param="fallbacks")
    return found
