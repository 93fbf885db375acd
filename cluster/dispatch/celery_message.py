"""The Celery message that wakes a node, written without Celery so that a Redis function can push it.

Celery's message protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html) in kombu's form for Redis.
"""

from __future__ import annotations

import base64
import json

_BODY = base64.b64encode(
    json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
).decode()


TEMPLATE = json.dumps(
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
            "delivery_info": {"exchange": "", "routing_key": "@QUEUE@"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "@ID@",
        },
    },
    separators=(",", ":"),
)
"""A `cluster.drain_inbox` task; the name of the node's queue goes to ``@QUEUE@``, an id and a trace context to the others."""
