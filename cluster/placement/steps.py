"""Which steps of a plan can be taken now, by what nodes have free at this moment: the others wait, each with why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from cluster.placement.terms import PlacementStep

MOST_LOADS = 4
"""On their way into memory at once: reading weights slows down what runs, and each shows whether its node could."""


@dataclass
class ReadySteps:
    """``waiting``: steps with a sentence each."""

    ready: list[PlacementStep] = field(default_factory=list)
    waiting: list[tuple[PlacementStep, str]] = field(default_factory=list)


def ready_steps(
    steps: Iterable[PlacementStep], free: Mapping[str, int], loading: Collection[tuple[str, str]]
) -> ReadySteps:
    """``free``: bytes of each node now. ``loading``: node and version of what is on its way into memory.

    What leaves a node goes first, and what comes waits until its room is free. A node loads one version at a time. Nothing is unloaded while another replica
    of its version is still on its way.
    """
    found, loads = ReadySteps(), len(loading)
    busy, coming = {node for node, _ in loading}, {digest for _, digest in loading}
    for step in steps:
        if step.verb == "unload":
            why = "another replica of it is on its way into memory" if step.digest in coming else ""
        elif step.node in busy:
            why = "the node is loading another version"
        elif loads >= MOST_LOADS:
            why = f"{MOST_LOADS} versions are on their way into memory"
        elif step.bytes > free.get(step.node, 0):
            why = "its room is not free yet"
        else:
            why = ""
            loads += 1
            busy.add(step.node)
        if why:
            found.waiting.append((step, why))
        else:
            found.ready.append(step)
    return found
