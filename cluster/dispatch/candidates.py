"""The candidates of every version, kept up to date as nodes report, so that a request only has to rank them; and what this gateway measured
of one version on one node, of which old measurements fade."""

from __future__ import annotations

from collections.abc import Collection

from cluster.scheduling.candidate import Candidate
from cluster.scheduling.decayed import Decayed, Line
from cluster.scheduling.eligibility import bar, fits, may_use
from cluster.scheduling.expectation import TOKENS
from cluster.scheduling.rendezvous import salt
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


class Candidates:
    """Holds what nodes last said, whether they are alive or not; knows no clock."""

    def __init__(self) -> None:
        self._by_version: dict[str, dict[str, Candidate]] = {}
        self._by_node: dict[str, dict[str, Candidate]] = {}
        self._measured: dict[str, dict[str, Measured]] = {}
        self._lengths: dict[tuple[str, str], Decayed] = {}
        self._others: dict[str, int] = {}
        self._given: dict[str, int] = {}

    def having(self, version: str) -> Collection[Candidate]:
        return self._by_version.get(version, {}).values()

    def find(self, node: str, version: str) -> Candidate | None:
        return self._by_node.get(node, {}).get(version)

    def take(self, state: NodeState, registered: Registered, now: float) -> None:
        """Take over a node's state and what the control plane says of it."""
        node = state.node
        # What it has beyond what this process gave it is of other gateways; our own count is newer than the node's.
        self._others[node] = max(0, state.running + state.waiting - self._given.get(node, 0))
        held = self._by_node.setdefault(node, {})
        in_flight = self.in_flight(node)
        for model in state.models:
            candidate = held.get(model.version)
            if candidate is None:
                candidate = Candidate(node, registered.tenant, model.state, state.capacity, salt=salt(node))
                held[model.version] = self._by_version.setdefault(model.version, {})[node] = candidate
            candidate.in_flight = in_flight
            _describe(candidate, state, model, registered)
            if (measured := self._measured.get(node, {}).get(model.version)) is not None:
                measured.write(candidate, now)
        for version in held.keys() - {model.version for model in state.models}:
            self._remove(node, version)

    def drop(self, node: str) -> None:
        """The node was taken out."""
        for version in list(self._by_node.get(node, ())):
            self._remove(node, version)
        for kept in (self._by_node, self._measured, self._others, self._given):
            kept.pop(node, None)

    def given(self, node: str, change: int) -> None:
        """Count the requests that this process has at a node."""
        count = self._given[node] = max(0, self._given.get(node, 0) + change)
        in_flight = self._others.get(node, 0) + count
        for candidate in self._by_node.get(node, {}).values():
            candidate.in_flight = in_flight

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
        if not having:
            del self._by_version[version]
            self._lengths = {whose: length for whose, length in self._lengths.items() if whose[1] != version}


def _describe(candidate: Candidate, state: NodeState, model: ModelState, registered: Registered) -> None:
    candidate.tenant = registered.tenant
    candidate.shared = registered.shared or bool(registered.access)
    candidate.access = _EVERYBODY if registered.shared else frozenset(registered.access)
    candidate.region = registered.region
    candidate.labels = registered.labels
    candidate.hourly_cost = registered.hourly_cost
    candidate.residence = model.state
    candidate.capacity = state.capacity
    told = model.engine == "openai"
    candidate.context = None if told else model.context_length
    candidate.most_context = model.context_length if told else None
    candidate.size = model.size
    candidate.fits = fits(state, model)
    candidate.bar = bar(state, model, schedulable=registered.schedulable)
