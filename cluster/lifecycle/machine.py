"""The states of a node, as one machine: which there are, which steps lead from one to another, and which one follows of what is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Lifecycle = Literal["joining", "ready", "cordoned", "draining", "unreachable", "lost", "retired"]
Hearing = Literal["heard", "unsure", "unreachable", "lost"]
"""What is known of a node's silence: ``unsure`` while it says nothing, and that may still be nothing."""

_SERVING: frozenset[Lifecycle] = frozenset({"ready", "cordoned", "draining"})
STEPS: Mapping[Lifecycle, frozenset[Lifecycle]] = {
    "joining": frozenset({*_SERVING, "retired"}),
    "ready": frozenset({"cordoned", "draining", "unreachable", "retired"}),
    "cordoned": frozenset({"ready", "draining", "unreachable", "retired"}),
    "draining": frozenset({"ready", "cordoned", "unreachable", "retired"}),
    "unreachable": frozenset({*_SERVING, "lost", "retired"}),
    "lost": frozenset({*_SERVING, "retired"}),
    "retired": frozenset(),
}
"""Each state, and those that may follow it."""


class NodeFacts(NamedTuple):
    """What decides on a node's state. ``drains``: a drain was ordered whose end has not come; it has come when nothing runs any more, or when its deadline
    is over. ``retired``: it was taken out."""

    schedulable: bool
    drains: bool
    hearing: Hearing
    retired: bool = False


def following(state: Lifecycle, known: NodeFacts) -> Lifecycle:
    """The state that follows: the same one, or one of its `STEPS`.

    A node that has never reported is joining, however long that takes. One that is not heard goes through ``unreachable`` to ``lost``.
    """
    if state == "retired" or known.retired:
        return "retired"
    if known.hearing == "heard":
        return wanted(known)
    if state in ("joining", "lost"):
        return state
    if state == "unreachable":
        return "lost" if known.hearing == "lost" else state
    # What people ordered counts while nobody is sure of its silence.
    return wanted(known) if known.hearing == "unsure" else "unreachable"


def wanted(known: NodeFacts) -> Lifecycle:
    """What people ordered for a node that is there."""
    if known.schedulable:
        return "ready"
    return "draining" if known.drains else "cordoned"
