"""The fleet as a gateway sees it: the last state of every node, in memory, fed by the nodes' own messages."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import redis.asyncio

from cluster.fleet.candidates import Candidates
from cluster.fleet.grace import Grace
from cluster.fleet.node_allowance import NodeAllowances
from cluster.fleet.prefix_affinity import PrefixAffinity
from cluster.scheduling.candidate import Ranked, Wanted
from cluster.scheduling.costs import slot_price
from cluster.scheduling.eligibility import against
from cluster.scheduling.routing import MOST, rank
from cluster.scheduling.suspicion import Pauses
from cluster.scheduling.taints import EXECUTING, untolerated
from cluster.telemetry import read_soon
from ollamamax.bus import keys
from ollamamax.bus.background import Background
from ollamamax.bus.directory import Directory
from ollamamax.bus.subscription import Subscription
from ollamamax.contract import NodeState, NodeStates, Nonsense
from ollamamax.contract.tables import NODES, Registered

STATE_LIFETIME = 4.0
"""Seconds after which a node that says nothing serves no more: for a while longer it is waited for (`grace`)."""

LEAST_SILENCE = 2.0
"""Seconds without a word for which no node is suspected, however steadily it reported."""

_PASSING = frozenset({"", "engine", "hung"})
"""Reasons of `eligibility.against` that may be over in a moment."""
_CHANNEL = keys.node_state_channel("").encode()
_SERVABLE = frozenset({"present", "ready", "loading", "loaded"})


class _Known(NamedTuple):
    """What every request asks of a node; made anew when the node or the control plane has said something else."""

    name: str
    room: int
    price: tuple[float | None, str]
    place: tuple[str, str, int]


def _none(node: str, version: str) -> bool:
    return False


class Fleet:
    """Follows the nodes that the directory lists in its table ``nodes``.

    ``url`` and ``client`` are of one Redis; ``allowances`` counts what nodes say. ``is_open`` tells of a node and a version whether their circuit breaker keeps requests away. ``region`` is this process's own.
    """

    def __init__(
        self,
        url: str,
        client: redis.asyncio.Redis,
        directory: Directory,
        allowances: NodeAllowances,
        background: Background,
        *,
        is_open: Callable[[str, str], bool] = _none,
        region: str = "",
    ) -> None:
        self._client = client
        self._directory = directory
        self._allowances = allowances
        self._background = background
        self._is_open = is_open
        self._region = region
        self._read = NodeStates()
        self._states: dict[str, NodeState] = {}
        self._seen: dict[str, float] = {}
        self._pauses: dict[str, Pauses] = {}
        self._trusted_until: dict[str, float] = {}
        self._known: dict[str, _Known] = {}
        self._candidates = Candidates()
        self.given = self._candidates.given
        self._grace = Grace()
        self._read_prompts = PrefixAffinity()
        self._turns: dict[str, int] = {}
        self._loaded = asyncio.Event()
        self._subscription = Subscription(
            "fleet",
            url,
            self._hear,
            patterns=[keys.node_state_channel("*")],
            load=self._load,
            background=background,
        )
        directory.on_change(self._registered_changed)

    async def start(self) -> None:
        """Return when the nodes are known that reported before."""
        self._background.run("fleet", self._subscription.run)
        await self._loaded.wait()

    def alive(self, node: str) -> bool:
        return time.monotonic() - self._seen.get(node, -STATE_LIFETIME) < STATE_LIFETIME

    def is_suspected(self, node: str) -> bool:
        """Whether it has been silent for longer than is usual for it: it is given no request, and what it runs is left to it while it is `alive`."""
        return time.monotonic() >= self._trusted_until.get(node, 0.0)

    def nodes(self) -> list[str]:
        """All that were heard, whether they are alive or not."""
        return list(self._seen)

    @property
    def reachable(self) -> int:
        """How many nodes this process hears."""
        return sum(map(self.alive, list(self._seen)))

    def seen(self, node: str) -> float:
        """When the node was heard last (`time.monotonic`)."""
        return self._seen[node]

    def suspect(self, node: str) -> None:
        """Give the node nothing new until it is heard again."""
        self._trusted_until[node] = 0.0

    def lost(self, node: str) -> None:
        """Count the node as gone until it is heard again."""
        self._grace.lost(node)
        self._seen[node] = time.monotonic() - STATE_LIFETIME
        self._trusted_until[node] = 0.0

    def may_return(self, node: str) -> bool:
        """Whether requests wait for the node: it is silent, and has not been for long."""
        return self._grace.may_return(node, self._seen.get(node, -math.inf), time.monotonic())

    def may_be_served(self, wanted: Wanted, *, without: Iterable[str] = ()) -> bool:
        """Whether a node that takes no request now, because it is silent or its engine is not well, may take this one in a moment."""
        now, excluded, version = time.monotonic(), frozenset(without), wanted.version
        troubled = self._grace.troubled(version, now)
        for each in self._candidates.having(version):
            if each.node in excluded:
                continue
            reason = against(wanted, each)
            if reason not in _PASSING:
                continue
            if self.alive(each.node):
                if (reason and each.node in troubled) or (not reason and self.is_suspected(each.node)):
                    return True
            elif self.may_return(each.node):
                return True
        # What an engine does not tell any more is no candidate.
        return any(
            node not in excluded
            and self._candidates.find(node, version) is None
            and self._may_use(wanted, node)
            and (self.alive(node) or self.may_return(node))
            for node in troubled
        )

    def is_fetched(self, wanted: Wanted) -> bool:
        """Whether a node that may run it is fetching its version now."""
        return any(
            each.residence == "fetching" and self.alive(each.node) and self._may_use(wanted, each.node)
            for each in self._candidates.having(wanted.version)
        )

    def will_be_fetched(self, wanted: Wanted, owner: str) -> bool:
        """Whether a node that may run it has its version not yet, and is to fetch it: one of the ``owner``, whose model it is."""
        return any(
            registered.tenant == owner
            and registered.schedulable
            and self._may_use(wanted, node)
            and self.alive(node)
            and self._candidates.find(node, wanted.version) is None
            and not self._states[node].draining
            and any(engine.hosts_blobs and engine.healthy for engine in self._states[node].engines)
            for node, registered in self._directory.items(NODES)
        )

    def _may_use(self, wanted: Wanted, node: str) -> bool:
        registered = self._registered(node)
        return registered is not None and registered.serves(wanted.tenant)

    def excuse(self, since: float) -> None:
        """Since then (`time.monotonic`) this process could hear nobody: that time is not counted as the nodes' silence."""
        now = time.monotonic()
        for node, seen in self._seen.items():
            if since - seen < STATE_LIFETIME:
                self._seen[node] = min(now, seen + now - since)
                self._trusted_until[node] += self._seen[node] - seen

    def states(self, tenant: str) -> list[NodeState]:
        """The tenant's nodes that are alive."""
        return [state for node, state in self._states.items() if self._is_of(node, tenant) and self.alive(node)]

    def name(self, node: str) -> str:
        return (self._known.get(node) or self._know(node)).name

    def engine_name(self, node: str, version: str) -> str | None:
        """What the node's engine calls the version, or ``None`` when the node does not have it."""
        state = self._states.get(node)
        for model in state.models if state is not None else ():
            if model.version == version and model.state in _SERVABLE:
                return model.name
        return None

    def price(self, node: str) -> tuple[float | None, str]:
        """What one of its slots costs an hour, where that is known, and in which currency."""
        return (self._known.get(node) or self._know(node)).price

    def room(self, node: str) -> int:
        """How many requests the node takes at once; 0 when it drains, or nothing is known of it."""
        return (self._known.get(node) or self._know(node)).room

    def place(self, node: str) -> tuple[str, str, int]:
        """The node, its name and its room, as Redis is told where a request may go."""
        return (self._known.get(node) or self._know(node)).place

    def _know(self, node: str) -> _Known:
        state, registered = self._states.get(node), self._registered(node)
        name = registered.name if registered is not None else node
        takes = state is not None and registered is not None and registered.schedulable and not state.draining
        room = state.capacity if state is not None and takes else 0
        price = slot_price(registered, state.capacity if state is not None else 0)
        currency = registered.currency if registered is not None and price is not None else ""
        known = _Known(name, room, (price, currency), (node, name, room))
        if registered is not None:
            self._known[node] = known
        return known

    def turned_away(self, wanted: Wanted, node: str) -> str:
        """The taint for which the request may not go on where it runs; empty when it may."""
        registered = self._registered(node)
        if registered is None or not registered.taints:
            return ""
        return untolerated(registered.taints, wanted.profile.tolerations, EXECUTING)

    # -- routing --------------------------------------------------------------------------------------------------

    def running(self, node: str) -> int:
        """How many requests the node ran when it last said something; 0 when it never did."""
        state = self._states.get(node)
        return state.running if state else 0

    def route(
        self, wanted: Wanted, *, without: Iterable[str] = (), waiting: int = 0, despite_breakers: bool = False
    ) -> list[Ranked]:
        """At most 16 nodes that may run the request, best first. ``waiting``: how many wait for the version, as far as is known."""
        turn = self._turns[wanted.version] = self._turns.get(wanted.version, -1) + 1
        return self._rank(wanted, without, waiting, turn, _none if despite_breakers else self._is_open)

    def _rank(
        self, wanted: Wanted, without: Iterable[str], waiting: int, turn: int, is_open: Callable[[str, str], bool]
    ) -> list[Ranked]:
        version, now = wanted.version, time.monotonic()
        trusted, excluded = self._trusted_until, frozenset(without)

        def usable(node: str) -> bool:
            return trusted[node] > now and node not in excluded and not is_open(node, version)

        warm, here = self._read_prompts.warm(wanted.prefixes, scope=_scope(wanted)), self._region
        candidates, crowd, share = self._candidates.listed(wanted, usable, warm=warm, turn=turn, here=here)
        tokens = self._candidates.tokens(wanted.tenant, version, now)
        # Who waits waits for all of them: those that are ranked have their share of it.
        waits = waiting * share
        return rank(wanted, candidates, warm=warm, turn=turn, tokens=tokens, waiting=waits, here=here, crowd=crowd)

    def ruled_out(self, wanted: Wanted, *, without: Iterable[str] = (), waiting: int = 0) -> list[tuple[str, str]]:
        """The tenant's nodes, and those of others that serve it and have the version, that `route` leaves out now, and why.

        ``silent``, ``model_absent``, ``tried`` (one of ``without``), ``breaker``, a reason of `cluster.scheduling.eligibility`,
        ``load`` (it would have to load the model, which takes longer than waiting elsewhere) or ``worse`` (16 others are better).
        """
        excluded = frozenset(without)
        ranked = self._rank(wanted, excluded, waiting, self._turns.get(wanted.version, 0), self._is_open)
        offered = {each.node for each in ranked}
        rest = "worse" if len(offered) == MOST else "load"
        found = []
        for node, registered in self._directory.items(NODES):
            candidate = self._candidates.find(node, wanted.version)
            if registered.tenant != wanted.tenant and not (candidate and registered.serves(wanted.tenant)):
                continue
            if self.is_suspected(node):
                reason = "silent"
            elif candidate is None:
                reason = "model_absent"
            elif node in excluded:
                reason = "tried"
            else:
                reason = against(wanted, candidate) or ("breaker" if self._is_open(node, wanted.version) else rest)
            if node not in offered:
                found.append((node, reason))
        return sorted(found)

    def answer_tokens(self, tenant: str, version: str) -> float:
        """How long the version's answers to the tenant usually are."""
        return self._candidates.tokens(tenant, version, time.monotonic())

    def remember(self, wanted: Wanted, node: str) -> None:
        """The request was given to ``node``, which will have read its prompt."""
        self._read_prompts.remember(wanted.prefixes, node, scope=_scope(wanted))

    def observe(
        self,
        node: str,
        version: str,
        *,
        first_token_ms: float | None,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        prompt_ms: float = 0.0,
        completion_tokens: int = 0,
        eval_ms: float = 0.0,
        load_ms: float = 0.0,
    ) -> None:
        """What a finished request measured, after ``given(node, -1)``. ``first_token_ms``: since the node was given it, loading included."""
        self._candidates.observe(
            node,
            version,
            now=time.monotonic(),
            first_token_ms=None if first_token_ms is None else max(0.0, first_token_ms - load_ms),
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            prompt_ms=prompt_ms,
            completion_tokens=completion_tokens,
            eval_ms=eval_ms,
            load_ms=load_ms,
        )

    # -- what nodes and the control plane say ----------------------------------------------------------------------

    def _registered(self, node: str) -> Registered | None:
        return self._directory.get(NODES, node)

    def _is_of(self, node: str, tenant: str) -> bool:
        registered = self._registered(node)
        return registered is not None and registered.tenant == tenant

    def _registered_changed(self, table: str, nodes: frozenset[str]) -> None:
        if table != NODES.name:
            return
        for node in nodes:
            self._known.pop(node, None)
            registered, state = self._registered(node), self._states.get(node)
            if registered is None:
                self._states.pop(node, None)
                self._read.forget(node)
                self._seen.pop(node, None)
                self._pauses.pop(node, None)
                self._trusted_until.pop(node, None)
                self._candidates.drop(node)
                self._grace.forget(node)
                self._allowances.forget(node)
            elif state is not None:
                self._candidates.take(state, registered, time.monotonic())

    async def _load(self) -> None:
        """What the nodes said before we listened, as long as it has not lapsed."""
        nodes = [node for node, _ in self._directory.items(NODES) if node not in self._states]
        for node, state in (await read_soon(self._client, nodes)).states.items():
            if node not in self._states:
                self._take(state)
        self._loaded.set()

    def _hear(self, channel: bytes, data: bytes) -> None:
        # The channel is protected by the node's Redis user, the text in it is not.
        node = channel[len(_CHANNEL) :].decode("ascii", "replace")
        if not self._allowances.state(node, len(data)):
            return
        try:
            state = self._read.decode(data, node)
        except Nonsense as error:
            self._allowances.nonsense(node, len(data), error.reason)
        else:
            self._take(state)

    def _take(self, state: NodeState) -> None:
        now = time.monotonic()
        self._grace.heard(state, self._states.get(state.node), now)
        self._states[state.node] = state
        self._known.pop(state.node, None)
        pauses = self._pauses.get(state.node)
        if pauses is None:
            pauses = self._pauses[state.node] = Pauses()
        else:
            pauses.add(now - self._seen[state.node], STATE_LIFETIME)
        self._seen[state.node] = now
        self._trusted_until[state.node] = now + pauses.allowed(len(self._seen), LEAST_SILENCE, STATE_LIFETIME)
        registered = self._registered(state.node)
        if registered is not None:
            self._candidates.take(state, registered, now)


def _scope(wanted: Wanted) -> int:
    """A number of the tenant and the version, for this process only."""
    return hash((wanted.tenant, wanted.version)) & 0xFFFF_FFFF_FFFF_FFFF
