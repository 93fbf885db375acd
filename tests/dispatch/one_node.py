"""One node, the requests that tenants give it, and the Redis functions on it."""

from __future__ import annotations

import redis

from ollamamax.bus import keys
from ollamamax.contract import encode_json
from ollamamax.kernel.ids import new_id
from tests.dispatch.calls import Calls, account, admission
from tests.fakes.state import node_state

NODE, GATEWAY = "a" * 32, "1" * 32
FLOODS, STEADY, OTHER = "d" * 32, "e" * 32, "f" * 32
PAUSE = 60.0
"""Seconds for which a slot may be kept: longer than any test."""


class Line:
    """One node of ``slots`` slots, and the functions on it."""

    def __init__(self, client: redis.Redis, slots: int) -> None:
        self._client = client
        self._slots = slots
        self._call = Calls(client)
        client.set(keys.node_state(NODE), encode_json(node_state(NODE, capacity=slots)))
        client.hset(keys.directory("nodes"), NODE, '{"schedulable":true}')
        client.set(keys.gateway_alive(GATEWAY), b"1")

    def ask(self, tenant: str, cost: float = 10.0) -> str:
        """A new request; its id. Whether it runs tells `runs`."""
        request = new_id()
        self._call(
            "admit", admission(request, tenant, [(NODE, "gpu", self._slots)], gateway=GATEWAY, cost=cost), b"a ticket"
        )
        return request

    def end(self, request: str, tenant: str, pause: float | None = PAUSE) -> float:
        """For how many seconds its slot is kept."""
        return float(self._call("settle", account(request, tenant, NODE, room=self._slots, pause=pause), b"{}"))

    def runs(self, request: str) -> bool:
        return bool(self._client.sismember(keys.node_slots(NODE), f"{request}.1"))

    def running(self) -> int:
        return int(self._client.scard(keys.node_slots(NODE)))

    def fill(self) -> None:
        self._call("fill", {"nodes": [(NODE, self._slots)]})
