"""Fallbacks: which models stand in for a name, and for which causes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from models_registry.manifest import split_name
from ollamamax.kernel.errors import InvalidRequest

Cause = Literal["no_capacity", "context_too_long", "engine_error"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
MOST = 5


class Fallback(msgspec.Struct, frozen=True):
    """``model`` is a name of the same tenant, a model's or an alias's; its own fallbacks are not followed."""

    model: str
    causes: tuple[Cause, ...] = CAUSES


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
        found.append(Fallback(full, tuple(cause for cause in CAUSES if cause in fallback.causes)))
    if len(found) > MOST:
        raise InvalidRequest(f"A name has {MOST} fallbacks at most.", param="fallbacks")
    return found
