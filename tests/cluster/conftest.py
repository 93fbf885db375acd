"""Nodes of the cast's tenants."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from cluster.actions.join_token import issue_join_token
from cluster.actions.node import Joined, join_node
from ollamamax.bus import keys
from ollamamax.contract import Engine, ModelState, NodeState, encode_json
from tests.cast import Person

Join = Callable[..., Joined]


def issue(person: Person, *, max_uses: int = 1, minutes: int = 60) -> str:
    return issue_join_token(acting=person.acting, lifetime=datetime.timedelta(minutes=minutes), max_uses=max_uses)[1]


@pytest.fixture
def join(valkey: redis.Redis) -> Join:
    """Joins a host as a node of the person's tenant."""

    def do(person: Person, name: str = "gpu-1", engine: str = "llamacpp") -> Joined:
        return join_node(token=issue(person), name=name, engine=engine, agent_version="1.0")

    return do


def says(valkey: redis.Redis, joined: Joined, *models: ModelState, **changes: Any) -> NodeState:
    """The node reports its state, as its agent does each second."""
    kind = joined.node.engine
    given: dict[str, Any] = {
        "node": joined.node.id.hex,
        "tenant": joined.node.tenant_id.hex,
        "boot": "b",
        "seq": 1,
        "at": time.time(),
        "agent_version": "1.2.3",
        "engines": [Engine(kind, True, hosts_blobs=kind == "llamacpp")],  # type: ignore[arg-type]
        "capacity": 4,
        "running": 0,
        "waiting": 0,
        "tokens_per_second": 0.0,
        "models": list(models),
        "cpu_percent": 1.0,
        "cpu_count": 2,
        "memory_used": 1,
        "memory_total": 2,
        "disk_used": 1,
        "disk_total": 2,
        "network_received_per_second": 0.0,
        "network_sent_per_second": 0.0,
        "gpu_note": "No GPU found.",
    }
    state = NodeState(**{**given, **changes})
    valkey.set(keys.node_state(state.node), encode_json(state), px=4000)
    return state
