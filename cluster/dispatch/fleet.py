"""The fleet as a gateway sees it: the last state of every node, in memory, fed by the nodes' own messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from cluster.scheduling.routing import Candidate
from cluster.wire import ModelState, NodeState, decode_node_state
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.directory import Directory
from ollamamax.kernel.tasks import end

STATE_LIFETIME = 4.0
"""Seconds after which a node that says nothing counts as gone."""

_log = logs.get(__name__)
_SERVABLE = frozenset({"present", "ready", "loading", "loaded"})


class Registered(msgspec.Struct):
    """What the control plane says of a node (directory table ``nodes``); a node's own word on this is not asked."""

    tenant: str
    name: str
    schedulable: bool = True
    shared: bool = False
    """Whether it runs requests of every tenant, for models that it has."""
    region: str = ""
    labels: dict[str, str] = {}
    hourly_cost: float | None = None
    """What an hour of it costs, in whatever currency the operator counts; ``None`` when nobody said."""


class Fleet:
    """Follows the nodes that the directory lists in its table ``nodes``."""

    def __init__(self, client: redis.asyncio.Redis, directory: Directory) -> None:
        self._client = client
        self._directory = directory
        self._states: dict[str, NodeState] = {}
        self._seen: dict[str, float] = {}
        self._outstanding: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def _registered(self, node: str) -> Registered | None:
        entry: Registered | None = self._directory.get("nodes", node)
        return entry

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="fleet")

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    def alive(self, node: str) -> bool:
        return time.monotonic() - self._seen.get(node, -STATE_LIFETIME) < STATE_LIFETIME

    def states(self, tenant: str) -> list[NodeState]:
        """The nodes that are alive and run the tenant's requests: its own, and those that are shared."""
        return [state for node, state in self._states.items() if self._is_of(node, tenant) and self.alive(node)]

    def name(self, node: str) -> str:
        registered = self._registered(node)
        return registered.name if registered else node

    def engine_name(self, node: str, version: str) -> str | None:
        """What the node's engine calls the version, or ``None`` when the node does not have it."""
        model = _find(self._states[node], version) if node in self._states else None
        return model.name if model else None

    def candidates(self, tenant: str, version: str, *, without: Iterable[str] = ()) -> list[Candidate]:
        """Nodes that run the tenant's requests, are alive, take new ones and have the version."""
        excluded = set(without)
        found = []
        for state in self.states(tenant):
            registered = self._registered(state.node)
            model = _find(state, version)
            if (
                model is None
                or state.node in excluded
                or state.draining
                or not registered
                or not registered.schedulable
            ):
                continue
            # What this gateway gave the node is newer than the node's last report.
            in_flight = max(state.running + state.waiting, self._outstanding.get(state.node, 0))
            found.append(Candidate(state.node, model.state, state.capacity, in_flight))  # type: ignore[arg-type]
        return found

    def capacity(self, node: str) -> int:
        return self._states[node].capacity

    def given(self, node: str, change: int) -> None:
        """Counts the requests this gateway has at a node."""
        self._outstanding[node] = max(0, self._outstanding.get(node, 0) + change)

    def _is_of(self, node: str, tenant: str) -> bool:
        registered = self._registered(node)
        return registered is not None and (registered.shared or registered.tenant == tenant)

    def owns(self, tenant: str, node: str) -> bool:
        """Whether the node is the tenant's own: of others it is told nothing but the name, where they served it."""
        registered = self._registered(node)
        return registered is not None and registered.tenant == tenant

    async def _follow(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.psubscribe(keys.node_state_channel("*"))
                    async for message in subscription.listen():
                        if message["type"] == "pmessage":
                            self._take(message["channel"], message["data"])
                        elif message["type"] == "psubscribe":
                            await self._load()
            except RedisError as error:
                _log.warning("fleet_disconnected", error=str(error))
                await asyncio.sleep(0.2)

    async def _load(self) -> None:
        """What the nodes said before we listened, as long as it has not lapsed."""
        nodes = [node for node, _ in self._directory.items("nodes")]
        if nodes:
            for node, data in zip(
                nodes, await self._client.mget([keys.node_state(node) for node in nodes]), strict=True
            ):
                if data is not None and node not in self._states:
                    self._take(keys.node_state_channel(node).encode(), data)

    def _take(self, channel: bytes, data: bytes) -> None:
        try:
            state = decode_node_state(data)
        except msgspec.DecodeError as error:
            _log.warning("node_state_unreadable", channel=channel.decode(), error=str(error))
            return
        # The channel is protected by the node's Redis user, the text in it is not.
        if keys.node_state_channel(state.node).encode() == channel:
            self._states[state.node] = state
            self._seen[state.node] = time.monotonic()


def _find(state: NodeState, version: str) -> ModelState | None:
    return next((model for model in state.models if model.version == version and model.state in _SERVABLE), None)
