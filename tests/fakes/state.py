"""What a node says of itself, made to a test's wishes."""

from __future__ import annotations

import time
from typing import Any

from ollamamax.contract import Engine, NodeState


def node_state(node: str, tenant: str = "0" * 32, **changes: Any) -> NodeState:
    """A good one."""
    usual: dict[str, Any] = {
        "boot": "boot",
        "seq": 1,
        "at": time.time(),
        "agent_version": "test",
        "engines": [Engine("llamacpp", True, hosts_blobs=True)],
        "capacity": 4,
        "running": 0,
        "waiting": 0,
        "tokens_per_second": 0.0,
        "models": [],
        "cpu_percent": 1.0,
        "cpu_count": 1,
        "memory_used": 1,
        "memory_total": 2,
        "disk_used": 1,
        "disk_total": 2,
        "network_received_per_second": 0.0,
        "network_sent_per_second": 0.0,
    }
    return NodeState(node=node, tenant=tenant, **{**usual, **changes})
