"""Taints keep requests away from a node, tolerations let them there all the same: their one form as text, and what follows of them. Pure.

A taint is ``name=value:effect``, the value may be left out. A toleration is ``name``, ``name=value``, either with ``:effect`` behind it: what it leaves out may be anything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, cast

Effect = Literal["no_schedule", "no_execute"]
"""``no_schedule``: the node is given no request that does not tolerate it. ``no_execute``: besides, such requests that run there end there at once."""
EFFECTS: tuple[Effect, ...] = ("no_schedule", "no_execute")
EXECUTING: tuple[Effect, ...] = ("no_execute",)
MOST_TAINTS = 32
_FORM = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._/-]{0,62})(?P<given>=(?P<value>[A-Za-z0-9._/-]{0,63}))?(?::(?P<effect>no_schedule|no_execute))?",
    re.ASCII,
)
FORM = "'name=value:effect', with the effect no_schedule or no_execute; name and value have up to 63 letters, digits, and . _ / -"


class _Parsed(NamedTuple):
    name: str
    value: str | None
    effect: Effect | None


def is_taint(text: str) -> bool:
    found = _parsed(text)
    return found is not None and found.effect is not None


def is_toleration(text: str) -> bool:
    return _parsed(text) is not None


def untolerated(taints: Iterable[str], tolerations: Collection[str], effects: Collection[Effect] = EFFECTS) -> str:
    """The first taint with one of these effects that no toleration speaks of; empty when there is none. What cannot be read keeps nobody away."""
    for text in taints:
        taint = _parsed(text)
        if taint is None or taint.effect not in effects:
            continue
        if not any(_tolerates(_parsed(each), taint) for each in tolerations):
            return text
    return ""


def _tolerates(toleration: _Parsed | None, taint: _Parsed) -> bool:
    return (
        toleration is not None
        and toleration.name == taint.name
        and toleration.value in (None, taint.value or "")
        and toleration.effect in (None, taint.effect)
    )


@functools.lru_cache(10_000)
def _parsed(text: str) -> _Parsed | None:
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    value = (found["value"] or "") if found["given"] else None
    return _Parsed(found["name"], value, cast("Effect | None", found["effect"]))
