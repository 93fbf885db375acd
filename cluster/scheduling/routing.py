"""Routing, as a pure decision: which nodes may run a request, best first, and why.

The fast path: called once a request with what the gateway holds in memory. It reads no clock and no random source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from cluster.scheduling.candidate import Candidate, Ranked, Wanted
from cluster.scheduling.eligibility import admissible
from cluster.scheduling.expectation import TOKENS, Expected, expect, worth_a_load
from cluster.scheduling.rendezvous import distances
from cluster.scheduling.strategies import AWAY, AWAY_MS, LOADING, STRATEGIES, WAITING, Crowd, Scene, pull, within_bound

MOST = 16
_OWN_FIRST = 1e6
"""Added to the cost of a shared node while one of the tenant's own has a free slot."""
_TELLING = 0.01
"""Share of the cost that a part must make up to be named as the reason."""
_by_node = attrgetter("node")
_NOBODY: Mapping[str, float] = {}


def rank(
    wanted: Wanted,
    candidates: Iterable[Candidate],
    *,
    warm: Mapping[str, float] = _NOBODY,
    turn: int = 0,
    tokens: float = TOKENS,
    waiting: float = 0,
    here: str = "",
    most: int = MOST,
    crowd: Crowd | None = None,
) -> list[Ranked]:
    """At most ``most`` of those that may run the request, best first; without those where loading takes longer than waiting elsewhere.

    ``warm``: node -> share of the prompt that it has read before. ``turn``: how many requests for this version came before.
    ``tokens``: how long its answers usually are. ``waiting``: how many requests for it wait for a slot. ``here``: the gateway's region;
    empty when it knows none. ``crowd``: of all, where ``candidates`` are those that `shortlist.Shortlist` picked.
    """
    able = admissible(wanted, candidates)
    able.sort(key=_by_node)
    if warm:
        # A node that is too busy is as good as cold: see `strategies.BOUND`.
        within = within_bound(able, crowd)
        warm = {each.node: warm[each.node] for each, may in zip(able, within, strict=True) if may and each.node in warm}
    expected = expect(wanted, able, warm=warm, tokens=tokens)
    for one in expected:
        if one.load:
            worth = worth_a_load(wanted, able, expected, waiting)
            able = [each for each, keep in zip(able, worth, strict=True) if keep]
            expected = [each for each, keep in zip(expected, worth, strict=True) if keep]
            break
    away = distances(home_of(wanted, turn), [each.salt for each in able])
    if crowd is not None:
        away = _by_ring(able, away, crowd.near)
    scene = Scene(
        wanted,
        able,
        expected,
        away,
        warm,
        turn,
        [each.region != here and each.region != "" for each in able] if here else [],
        crowd,
    )
    costs = STRATEGIES[wanted.profile.strategy](scene)
    if here:
        far = AWAY[wanted.profile.strategy]
        costs = [cost + far if away else cost for cost, away in zip(costs, scene.away, strict=True)]
    for each in able:
        if each.shared:
            _own_first(wanted, able, costs)
            break
    order = sorted(range(len(able)), key=costs.__getitem__)[: most + 1]
    return [
        Ranked(
            able[index].node,
            1.0 / (1.0 + costs[index]),
            _parts(scene, index),
            _reason(scene, costs, index, order[place + 1] if place + 1 < len(order) else None),
        )
        for place, index in enumerate(order[:most])
    ]


def home_of(wanted: Wanted, turn: int) -> int:
    """By what number the home of a request is found: that of its beginning, else its turn."""
    if wanted.home is not None:
        return wanted.home
    return wanted.prefixes[0] if wanted.prefixes else turn


def _by_ring(able: list[Candidate], distance: list[float], near: Sequence[str]) -> list[float]:
    """The nearest of very many are nearer than any of a few: those next on the ring come first, in its order, whoever else was picked."""
    places = {node: number / (4 * len(near)) for number, node in enumerate(near)}
    return [places.get(each.node, 0.5 + one / 2) for each, one in zip(able, distance, strict=True)]


def _own_first(wanted: Wanted, able: list[Candidate], costs: list[float]) -> None:
    own = [each.tenant == wanted.tenant for each in able]
    if any(mine and each.in_flight < each.capacity for mine, each in zip(own, able, strict=True)):
        for index, mine in enumerate(own):
            if not mine:
                costs[index] += _OWN_FIRST


def _parts(scene: Scene, index: int) -> dict[str, float]:
    candidate, (wait, load, overhead, prompt, generation, harm) = scene.candidates[index], scene.expected[index]
    parts = {
        "loaded": 1.0 if not load else 0.5 if candidate.residence == "loading" else 0.0,
        "room": max(0.0, 1.0 - candidate.in_flight / candidate.capacity),
        "prefix": 0.0 if load else scene.warm.get(candidate.node, 0.0),
        "home": 1.0 - scene.distance[index],
        "own": float(candidate.tenant == scene.wanted.tenant),
        "wait_ms": wait,
        "load_ms": load,
        "prompt_ms": prompt,
        "first_token_ms": overhead + prompt,
        "generation_ms": generation,
        "harm_ms": harm,
    }
    if scene.away:
        parts["region"] = 0.0 if scene.away[index] else 1.0
    return parts


def _reason(scene: Scene, costs: list[float], index: int, following: int | None) -> str:
    if following is None:
        return "only" if len(costs) == 1 else "last"
    this, other = scene.candidates[index], scene.candidates[following]
    if costs[following] - costs[index] >= _OWN_FIRST / 2:
        return "own"
    strategy = scene.wanted.profile.strategy
    ahead_in_memory = not scene.expected[index].load and scene.expected[following].load > 0
    if strategy == "round_robin":
        return "loaded" if ahead_in_memory else "turn"
    if strategy == "affinity":
        return "loaded" if ahead_in_memory else _affinity_reason(scene, index, following)
    if strategy == "cheapest" and this.hourly_cost != other.hourly_cost:
        return "cheapest"
    if strategy == "least_busy":
        if ahead_in_memory:
            return "loaded"
        if this.in_flight * other.capacity != other.in_flight * this.capacity:
            return "idle"
        return "region" if _nearer(scene, index, following) else "even"
    return _largest(scene, index, following)


def _affinity_reason(scene: Scene, index: int, following: int) -> str:
    this, other = scene.candidates[index], scene.candidates[following]
    here, there = (scene.warm.get(each.node, 0.0) for each in (this, other))
    if here > there:
        return "prefix"
    if here == there and _nearer(scene, index, following):
        return "region"
    return "home" if here == there and this.in_flight >= other.in_flight else "idle"


def _nearer(scene: Scene, index: int, following: int) -> bool:
    return bool(scene.away) and scene.away[following] and not scene.away[index]


def _largest(scene: Scene, index: int, following: int) -> str:
    """The part of the cost in which the first is ahead most, for the strategies that count in time."""
    this, other = scene.expected[index], scene.expected[following]
    shared = scene.wanted.profile.strategy == "balanced"  # what it costs others counts, too
    ahead = {
        "loaded": (other.load - this.load) * (LOADING if shared else 1.0),
        "prefix": other.prompt - this.prompt,
        "home": pull(scene, following) - pull(scene, index) if shared else 0.0,
        "fastest": other.overhead - this.overhead + _alone(other) - _alone(this),
        "region": AWAY_MS * _nearer(scene, index, following),
        "idle": (other.wait - this.wait) * (WAITING if shared else 1.0) + (2 + shared) * (other.harm - this.harm),
    }
    part = max(ahead, key=ahead.__getitem__)
    return part if ahead[part] > _TELLING * (sum(this) or 1.0) else "even"


def _alone(expected: Expected) -> float:
    """Milliseconds of generating with nothing beside it: it is slowed by twice what it costs those that are half done."""
    return expected.generation - 2 * expected.harm
