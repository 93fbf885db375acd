"""Nodes that died without a word: noticed sooner than by their silence alone."""

from __future__ import annotations

import time
from collections.abc import Iterable

import redis.asyncio

from cluster.fleet.fleet import Fleet
from ollamamax import logs
from ollamamax.bus import keys

LOOK_SECONDS = 0.25
SILENCE = 1.5
"""Seconds without a listener and without a word. A node that lives says how it is each second, on another connection."""
OWN_PAUSE = 1.0
"""Seconds between two looks, after which it was this process that heard nobody: it was stopped, or Redis was away."""
_log = logs.get(__name__)


class Presence:
    """Asks Redis who listens to the nodes' control channels: the connections of a process that is killed close with it.

    That alone proves nothing (a node that lost one connection makes it anew, and Redis may have restarted), so a node is lost
    only when it was not heard either since nobody listened. At two looks in a row it is enough to send it nothing new: what it runs is left
    to it, and its next word clears it. One that cannot close its connections is left to `Fleet`.
    """

    def __init__(self, client: redis.asyncio.Redis, fleet: Fleet) -> None:
        self._client = client
        self._fleet = fleet
        self._unheard: dict[str, float] = {}
        """Node -> since when nobody listens for it and it says nothing."""
        self._deaf: dict[str, float] = {}
        """Node -> the first look in a row at which nobody listened for it."""
        self._looked = time.monotonic()

    async def look(self) -> None:
        """Take those that died out of the fleet, for all gateways. Raises `RedisError`."""
        nodes = self._fleet.nodes()
        listeners = await self._listeners(nodes)
        now = time.monotonic()
        if now - self._looked > OWN_PAUSE:
            self._fleet.excuse(self._looked)
        self._looked = now
        self._unheard = {
            node: max(self._unheard.get(node, now), self._fleet.seen(node))
            for node, count in zip(nodes, listeners, strict=True)
            if not count and self._fleet.may_return(node)
        }
        deaf = {node: self._deaf.get(node, now) for node in self._unheard}
        for node, since in deaf.items():
            # One that spoke meanwhile lives, and only its control connection is gone.
            if since < now and self._fleet.seen(node) <= since:
                self._fleet.suspect(node)
        self._deaf = deaf
        for node, since in self._unheard.items():
            if now - since > SILENCE:
                _log.warning("node_died", node=node)
                self._fleet.lost(node)
                # Its lease, and what the control plane goes by: until they lapse by themselves, others who wait would be given to it.
                await self._client.delete(keys.node_state(node), keys.node_brief(node))

    async def _listeners(self, nodes: Iterable[str]) -> list[int]:
        channels = [keys.node_control(node) for node in nodes]
        if not channels:
            return []
        return [int(count) for _, count in await self._client.pubsub_numsub(*channels)]
