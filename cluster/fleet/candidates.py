"""The candidates of every version, kept up to date as nodes report, so that a request only has to rank them; and the means, weighted towards
the latest, of what this gateway measured of each version on each node."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection
from typing import NamedTuple

from cluster.fleet.shortlists import Shortlists
from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.decayed import Decayed, Line
from cluster.scheduling.eligibility import FreeMemory, against, bar, fits, may_use, memory_of, weighs
from cluster.scheduling.expectation import TOKENS
from cluster.scheduling.rendezvous import salt
from cluster.scheduling.routing import home_of
from cluster.scheduling.shortlist import EXACT
from cluster.scheduling.strategies import Crowd
from ollamamax.contract import ModelState, NodeState
from ollamamax.contract.tables import EVERYBODY, Registered

_LEAST_MS = 1e-3


class Measured:
    __slots__ = ("_first_token", "_load", "_overhead", "_prompt", "_speed", "_token")

    def __init__(self) -> None:
        self._first_token, self._overhead, self._load = Decayed(), Decayed(), Decayed()
        self._prompt, self._speed, self._token = Decayed(), Decayed(), Line()

    def add(
        self,
        *,
        now: float,
        first_token_ms: float | None,
        prompt_tokens: int,
        cached_tokens: int,
        prompt_ms: float,
        completion_tokens: int,
        eval_ms: float,
        load_ms: float,
        beside: int,
    ) -> None:
        """``beside``: how many other requests ran there. What the engine does not tell is 0 and not counted."""
        if first_token_ms is not None:
            self._first_token.add(first_token_ms, now=now)
            self._overhead.add(max(0.0, first_token_ms - prompt_ms), now=now)
        if load_ms > 0:
            self._load.add(load_ms, now=now)
        read = prompt_tokens - cached_tokens
        if read > 0 and prompt_ms > _LEAST_MS:
            self._prompt.add(read, prompt_ms / 1000, now=now)
        if completion_tokens > 1 and eval_ms > _LEAST_MS:
            self._speed.add(completion_tokens, eval_ms / 1000, now=now)
            self._token.add(beside, eval_ms / completion_tokens, now=now)

    def write(self, candidate: Candidate, now: float) -> None:
        """Bring a candidate up to date."""
        candidate.first_token_ms = self._first_token.value(now) if self._first_token.weight else None
        candidate.overhead_ms = self._overhead.value(now) if self._overhead.weight else None
        candidate.load_ms = self._load.value(now) if self._load.weight else None
        candidate.prompt_speed = self._prompt.value(now) if self._prompt.weight else None
        candidate.speed = self._speed.value(now) if self._speed.weight else None
        line = self._token.values(now)
        candidate.token_ms, candidate.crowding_ms = (None, None) if line is None else line


_EVERYBODY = frozenset({EVERYBODY})


class _Described(NamedTuple):
    """What a node's candidates were last described by: as long as all of it is the same, they are."""

    models: list[ModelState]
    """By identity: `NodeStates` returns the same list while the node says the same bytes of it."""
    said: object
    """What else of the state they depend on, and what the control plane says."""
    weights: list[int]
    """What each model that is not loaded would take of the memory, in order."""
    held: tuple[int | None, int | None]
    """How many of ``weights`` fit into the memory that is free, and how many if it were empty."""


class Candidates:
    """Holds what nodes last said, whether they are alive or not; knows no clock."""

    def __init__(self) -> None:
        self._by_version: dict[str, dict[str, Candidate]] = {}
        self._by_node: dict[str, dict[str, Candidate]] = {}
        self._measured: dict[str, dict[str, Measured]] = {}
        self._lengths: dict[tuple[str, str], Decayed] = {}
        self._others: dict[str, int] = {}
        self._given: dict[str, int] = {}
        self._described: dict[str, _Described] = {}
        self._shortlists = Shortlists()

    def having(self, version: str) -> Collection[Candidate]:
        return self._by_version.get(version, {}).values()

    def listed(
        self,
        wanted: Wanted,
        usable: Callable[[str], bool],
        *,
        warm: Collection[str] = (),
        turn: int = 0,
        here: str = "",
    ) -> tuple[list[Candidate], Crowd | None, float]:
        """Those to rank: all that are ``usable``, where there are few; else as `Shortlist.pick`, or all where that finds nobody."""
        having = self._by_version.get(wanted.version, {})
        if len(having) > EXACT:
            listed = self._shortlists.of(wanted, here, having)
            if listed is not None:
                picked, crowd, share = listed.pick(usable, warm=warm, home=home_of(wanted, turn), turn=turn)
                if picked and not all(against(wanted, each) for each in picked):
                    return picked, crowd, share
        return [each for node, each in having.items() if usable(node)], None, 1.0

    def find(self, node: str, version: str) -> Candidate | None:
        return self._by_node.get(node, {}).get(version)

    def take(self, state: NodeState, registered: Registered, now: float) -> None:
        """Take over a node's state and what the control plane says of it."""
        node = state.node
        # What it has beyond what this process gave it is of other gateways; our own count is newer than the node's.
        self._others[node] = max(0, state.running + state.waiting - self._given.get(node, 0))
        held = self._by_node.setdefault(node, {})
        memory, said = memory_of(state), _said(state, registered)
        before = self._described.get(node)
        if (
            before is None
            or before.models is not state.models
            or before.said != said
            or before.held != _held(before.weights, memory)
        ):
            self._describe(state, registered, memory, said, before)
        in_flight = self.in_flight(node)
        if any(candidate.in_flight != in_flight for candidate in held.values()):
            for version, candidate in held.items():
                candidate.in_flight = in_flight
                self._shortlists.put(version, candidate)
        for version, measured in self._measured.get(node, {}).items():
            if (known := held.get(version)) is not None:
                before_that = known.token_ms
                measured.write(known, now)
                if known.token_ms != before_that:
                    self._shortlists.put(version, known)

    def _describe(
        self, state: NodeState, registered: Registered, memory: FreeMemory, said: object, before: _Described | None
    ) -> None:
        node, held = state.node, self._by_node[state.node]
        weights = sorted(weight for model in state.models if (weight := weighs(model)) is not None)
        now = _Described(state.models, said, weights, _held(weights, memory))
        self._described[node] = now
        same: set[int] = set()
        if before is not None and before[1:] == now[1:]:
            # Of models that are the same objects as before nothing is described anew.
            same = {id(model) for model in before.models}
        models = {model.version: model for model in state.models}
        for model in models.values():
            if id(model) in same:
                continue
            candidate = held.get(model.version)
            if candidate is None:
                candidate = Candidate(node, registered.tenant, model.state, state.capacity, salt=salt(node))
                held[model.version] = self._by_version.setdefault(model.version, {})[node] = candidate
            _describe(candidate, state, model, registered, memory)
            self._shortlists.put(model.version, candidate)
        for version in held.keys() - models.keys():
            self._remove(node, version)

    def drop(self, node: str) -> None:
        """The node was taken out."""
        for version in list(self._by_node.get(node, ())):
            self._remove(node, version)
        for kept in (self._by_node, self._measured, self._others, self._given, self._described):
            kept.pop(node, None)

    def given(self, node: str, change: int) -> None:
        """Count the requests that this process has at a node."""
        count = self._given[node] = max(0, self._given.get(node, 0) + change)
        in_flight = self._others.get(node, 0) + count
        for version, candidate in self._by_node.get(node, {}).items():
            candidate.in_flight = in_flight
            self._shortlists.put(version, candidate)

    def in_flight(self, node: str) -> int:
        return self._others.get(node, 0) + self._given.get(node, 0)

    def observe(self, node: str, version: str, *, now: float, completion_tokens: int, **measures: float | None) -> None:
        """Take into account a finished request that is no longer counted at its node; ``measures`` as in `Measured.add`."""
        candidate = self.find(node, version)
        if candidate is None:
            return
        if completion_tokens > 0:
            # By whose node it is: what one tenant's nodes count must not change what another's requests are expected to be.
            length = self._lengths.setdefault((candidate.tenant, version), Decayed())
            length.add(completion_tokens, now=now)
        held = self._measured.setdefault(node, {})
        if version not in held:
            held[version] = Measured()
        measured = held[version]
        beside = min(candidate.in_flight, candidate.capacity - 1)
        measured.add(now=now, completion_tokens=completion_tokens, beside=beside, **measures)  # type: ignore[arg-type]
        measured.write(candidate, now)
        self._shortlists.put(version, candidate)

    def tokens(self, tenant: str, version: str, now: float) -> float:
        """How long the version's answers usually are, on the tenant's own nodes, else on those of others that serve it."""
        length = self._lengths.get((tenant, version))
        if length is None:
            shared = next((each.tenant for each in self.having(version) if may_use(tenant, each)), None)
            length = self._lengths.get((shared, version)) if shared is not None else None
        return (length.value(now) if length else None) or TOKENS

    def _remove(self, node: str, version: str) -> None:
        self._by_node[node].pop(version, None)
        self._measured.get(node, {}).pop(version, None)
        having = self._by_version[version]
        having.pop(node, None)
        self._shortlists.remove(version, node)
        if not having:
            del self._by_version[version]
            self._lengths = {whose: length for whose, length in self._lengths.items() if whose[1] != version}


def _said(state: NodeState, registered: Registered) -> object:
    """What a node's candidates depend on besides its models and its memory."""
    engines = [(each.kind, each.healthy, each.quarantined) for each in state.engines]
    return state.capacity, state.draining, engines, registered


def _held(weights: list[int], memory: FreeMemory) -> tuple[int | None, int | None]:
    free, most = memory
    return (
        None if free is None else bisect_right(weights, free),
        None if most is None else bisect_right(weights, most),
    )


def _describe(
    candidate: Candidate, state: NodeState, model: ModelState, registered: Registered, memory: FreeMemory
) -> None:
    candidate.tenant = registered.tenant
    candidate.shared = registered.shared or bool(registered.access)
    candidate.access = _EVERYBODY if registered.shared else frozenset(registered.access)
    candidate.region = registered.region
    candidate.labels = registered.labels
    candidate.taints = tuple(registered.taints)
    candidate.hourly_cost = registered.hourly_cost
    candidate.residence = model.state
    candidate.capacity = state.capacity
    told = model.engine == "openai"
    candidate.context = None if told else model.context_length
    candidate.most_context = model.context_length if told else None
    candidate.size = model.size
    candidate.fits = fits(memory, model)
    candidate.bar = bar(state, model, memory, schedulable=registered.schedulable)
