"""The Celery message that wakes a node, written without Celery so that a Redis function can push it.

Celery's message protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html) in kombu's form for Redis.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache

from ollamamax.bus import keys

_BODY = base64.b64encode(
    json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
).decode()


@lru_cache(maxsize=20_000)
def drain_message(node: str) -> bytes:
    """A `cluster.drain_inbox` task for the node's queue, with ``@ID@`` and ``@TRACE@`` where id and trace context go."""
    return json.dumps(
        {
            "body": _BODY,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": "cluster.drain_inbox",
                "id": "@ID@",
                "root_id": "@ID@",
                "parent_id": None,
                "group": None,
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "ignore_result": True,
                "traceparent": "@TRACE@",
            },
            "properties": {
                "correlation_id": "@ID@",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": keys.node_queue(node)},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "@ID@",
            },
        },
        separators=(",", ":"),
    ).encode()
