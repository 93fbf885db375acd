"""Strategies: what each candidate costs a request, the least first. Pure functions behind one interface, chosen by a profile.

A strategy sees a `Scene` and returns one cost for each of its candidates, in a unit of its own, never below 0. What all
strategies have in common (who may run the request at all, the tenant's own nodes first) lies outside of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.expectation import Expected
from ollamamax.contract.profile import Strategy

BOUND = 1.25
"""A node that has read the prompt before is preferred until it is so many times busier than the mean (Mirrokni, Thorup and
Zadimoghaddam 2016: consistent hashing with bounded loads)."""
FREELY = 0.5
"""Share of its slots up to which a node is not busy at all: with few requests a second one would be above the bound already."""
WAITING = 16.0
"""How many times waiting for a slot counts: while it lasts, slots elsewhere lie idle, and those who come next wait longer."""
LOADING = 30.0
"""How many times a load counts: it puts other models out, which will be loaded again for others. Where models lie is decided
elsewhere, and more slowly."""
PULL = 0.25
"""How much of reading the prompt the prompt's home is taken to save while no node is known to have read it."""
JITTER = 0.02
"""Share of the expected time by which gateways that see equal nodes prefer different ones for different prompts."""
AWAY_MS = 100.0
"""What the way to a node in another region than the gateway's is taken to cost."""
AWAY: dict[Strategy, float] = {
    "balanced": AWAY_MS / 1000.0,
    "fastest": AWAY_MS / 1000.0,
    "least_busy": 0.01,  # of equally busy nodes a near one
    "affinity": 0.02,  # a near home; what was read far away is worth the way
    "cheapest": AWAY_MS * 1e-9,  # of equally dear nodes a near one
    "round_robin": 0.0,
}
"""The same in each strategy's own unit."""
_FULL, _BEYOND, _UNREADY = 8.0, 4.0, 2.0


class Crowd(NamedTuple):
    """Of all that may run a request, where only some of them are ranked: their slots, how many are taken, and who is next to the prompt's place, nearest first."""

    slots: int
    taken: int
    near: tuple[str, ...]


class Scene(msgspec.Struct, frozen=True):
    """One decision; its lists are in the order of ``candidates``, which is that of the nodes' ids.

    ``warm``: node -> share of the prompt that it has read before, of nodes within the bound. ``turn`` counts the requests
    for this version. ``crowd``: of all, where these are not all. ``distance``: of each candidate from the prompt (`rendezvous.distances`). ``away``: whether each is known to be in
    another region than the gateway; empty when that does not know its own. Strategies leave it to `AWAY`.
    """

    wanted: Wanted
    candidates: list[Candidate]
    expected: list[Expected]
    distance: list[float]
    warm: Mapping[str, float]
    turn: int
    away: list[bool]
    crowd: Crowd | None = None


def pull(scene: Scene, index: int) -> float:
    """Milliseconds that a candidate is taken to be slower because it is not the prompt's home."""
    _, _, overhead, prompt, generation, _ = scene.expected[index]
    home = 0.0 if scene.warm else PULL * prompt
    return (JITTER * (overhead + prompt + generation) + home) * scene.distance[index]


def balanced(scene: Scene) -> list[float]:
    """Seconds that the request takes of all: until it would be done, and by how much it slows those beside it."""
    home = 0.0 if scene.warm else PULL
    return [
        (
            WAITING * wait
            + LOADING * load
            + (overhead + prompt + generation) * (1.0 + JITTER * distance)
            + home * prompt * distance
            + harm
        )
        / 1000.0
        for (wait, load, overhead, prompt, generation, harm), distance in zip(
            scene.expected, scene.distance, strict=True
        )
    ]


def least_busy(scene: Scene) -> list[float]:
    """Taken share of the slots, this request included; a model that is not in memory counts as a full node."""
    return [
        (each.in_flight + 1) / each.capacity + (expected.load > 0) + distance / 1000.0
        for each, expected, distance in zip(scene.candidates, scene.expected, scene.distance, strict=True)
    ]


def round_robin(scene: Scene) -> list[float]:
    """One after the other in the order of their ids; those that would have to load come after the others."""
    order = sorted(range(len(scene.candidates)), key=lambda index: (scene.expected[index].load > 0, index))
    willing = sum(not expected.load for expected in scene.expected) or len(order)
    costs = [0.0] * len(order)
    for place, index in enumerate(order):
        costs[index] = float((place - scene.turn) % willing if place < willing else place)
    return costs


def fastest(scene: Scene) -> list[float]:
    """Seconds until the request would be done, whatever that costs others: fast nodes are filled first."""
    return [sum(expected[:5]) / 1000.0 for expected in scene.expected]


def affinity(scene: Scene) -> list[float]:
    """The node that has read most of the prompt, else the prompt's home, else the next from there, within the bound."""
    return [
        _FULL * (each.in_flight >= each.capacity)
        + _BEYOND * (not within)
        + _UNREADY * (expected.load > 0)
        + (1.0 if expected.load or not scene.warm else 1.0 - scene.warm.get(each.node, 0.0))
        + distance / 100.0
        for each, within, expected, distance in zip(
            scene.candidates, within_bound(scene.candidates, scene.crowd), scene.expected, scene.distance, strict=True
        )
    ]


def cheapest(scene: Scene) -> list[float]:
    """What the request's share of the node's hour costs, in thousandths; nodes without a free slot after all others.

    A node whose cost nobody said counts as the dearest that is known.
    """
    dearest = max((each.hourly_cost for each in scene.candidates if each.hourly_cost is not None), default=1.0)
    costs = []
    for each, expected in zip(scene.candidates, scene.expected, strict=True):
        hourly = dearest if each.hourly_cost is None else each.hourly_cost
        hours = sum(expected[1:5]) / 3_600_000.0 / each.capacity
        # Among nodes that cost nothing the quicker one.
        costs.append(hourly * hours * 1000.0 + sum(expected[:5]) * 1e-9 + 1000.0 * (each.in_flight >= each.capacity))
    return costs


def within_bound(candidates: list[Candidate], crowd: Crowd | None = None) -> list[bool]:
    """Whether each has at most `BOUND` times its share of all requests, by slots, this request included, or is half empty. All: the ``crowd``, where it is more."""
    slots, taken = 0, 1
    if crowd is not None:
        slots, taken = crowd.slots, crowd.taken + 1
    else:
        for each in candidates:
            slots += each.capacity
            taken += each.in_flight
    mean = taken / slots if slots else 0.0
    return [
        each.in_flight + 1 <= max(math.ceil(BOUND * mean * each.capacity), FREELY * each.capacity)
        for each in candidates
    ]


STRATEGIES: dict[Strategy, Callable[[Scene], list[float]]] = {
    "balanced": balanced,
    "least_busy": least_busy,
    "round_robin": round_robin,
    "fastest": fastest,
    "affinity": affinity,
    "cheapest": cheapest,
}
