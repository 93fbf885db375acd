"""One node, the requests that tenants give it, and the Redis functions on it."""

from __future__ import annotations

import time
from typing import Any

import redis

from cluster.dispatch.script import Script, arguments
from ollamamax.bus import keys
from ollamamax.kernel.ids import new_id

NODE, GATEWAY = "a" * 32, "1" * 32
FLOODS, STEADY, OTHER = "d" * 32, "e" * 32, "f" * 32
VERSION = "sha256:" + "ab" * 32
PAUSE = 60.0
"""Seconds for which a slot may be kept: longer than any test."""


class Line:
    """One node of ``slots`` slots, and the functions on it."""

    def __init__(self, client: redis.Redis, slots: int) -> None:
        self._client = client
        self._slots = slots
        self._scripts = {name: Script(name) for name in ("admit", "settle", "fill")}
        client.set(keys.node_state(NODE), f'{{"node":"{NODE}","capacity":{slots}}}')
        client.hset(keys.directory("nodes"), NODE, '{"schedulable":true}')
        client.set(keys.gateway_alive(GATEWAY), b"1")

    def _call(self, script: str, named: dict[str, Any], *binary: bytes) -> Any:
        return self._scripts[script].run_sync(self._client, arguments(named, *binary))

    def ask(self, tenant: str, cost: float = 10.0) -> str:
        """A new request; its id. Whether it runs tells `runs`."""
        request, now = new_id(), time.time()
        self._call(
            "admit",
            {
                "request": request,
                "ticket": f"{request}.1",
                "tenant": tenant,
                "gateway": GATEWAY,
                "version": VERSION,
                "open": '"x":1}',
                "traceparent": "",
                "nodes": [(NODE, "gpu", self._slots)],
                "received_at": now,
                "score": now,
                "deadline": now + 600,
                "cost": cost,
                "weight": 1.0,
                "counted": [],
                "limits": [],
                "idle": False,
                "most_waiting": 100,
                "most_waiting_of_tenant": 100,
            },
            b"a ticket",
        )
        return request

    def end(self, request: str, tenant: str, pause: float | None = PAUSE) -> float:
        """For how many seconds its slot is kept."""
        account = {
            "request": request,
            "ticket": f"{request}.1",
            "tenant": tenant,
            "counted": [],
            "node": NODE,
            "version": VERSION,
            "weight": 1.0,
            "work": 0.0,
            "tokens": 0,
            "limits": [],
            "pause": pause,
        }
        return float(self._call("settle", account, b"{}"))

    def runs(self, request: str) -> bool:
        return bool(self._client.sismember(keys.node_slots(NODE), f"{request}.1"))

    def running(self) -> int:
        return int(self._client.scard(keys.node_slots(NODE)))

    def fill(self) -> None:
        self._call("fill", {"nodes": [NODE]})
