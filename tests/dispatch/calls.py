"""The Redis functions, called as gateways call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from cluster.dispatch.script import Script, arguments

VERSION = "sha256:" + "ab" * 32
ALLOWED = 600.0
"""Seconds that a request may take."""


def admission(request: str, tenant: str, nodes: Sequence[tuple[str, str, int]], **facts: Any) -> dict[str, Any]:
    """Of a request's first attempt. ``nodes``: id, name and slots; ``facts`` change what is usual."""
    usual: dict[str, Any] = {
        "key": "k" * 32,
        "gateway": "1" * 32,
        "version": VERSION,
        "open": '"request":""}',
        "age": 0.0,
        "score": 0.0,
        "cost": 10.0,
        "weight": 1.0,
        "counted": [],
        "limits": [],
        "budgets": [],
        "idle": False,
        "most_waiting": 1000,
        "most_waiting_of_tenant": 1000,
    }
    fixed = {"request": request, "ticket": f"{request}.1", "tenant": tenant, "nodes": nodes, "traceparent": "00"}
    return {**usual, **fixed, "left": ALLOWED, **facts}


def account(request: str, tenant: str, node: str, **facts: Any) -> dict[str, Any]:
    """Of a request that ended after its first attempt, having used what was expected."""
    usual = {
        "version": VERSION,
        "counted": [],
        "weight": 1.0,
        "work": 0.0,
        "limits": [],
        "pause": None,
        "room": 0,
    }
    return {**usual, "request": request, "ticket": f"{request}.1", "tenant": tenant, "node": node, **facts}


class Calls:
    """``call("admit", named, ticket)``."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts: dict[str, Script] = {}

    def __call__(self, name: str, named: dict[str, Any], *binary: bytes) -> Any:
        script = self._scripts.setdefault(name, Script(name))
        return script.run_sync(self._client, arguments(named, *binary))
