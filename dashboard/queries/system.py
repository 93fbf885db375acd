"""Reads how the installation itself fares: its processes, control loops, queues, databases. For its operator."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from cluster.telemetry import read
from ollamamax import logs
from ollamamax.bus import keys, publication, regions
from ollamamax.bus.regions import Region
from ollamamax.contract.loop_state import decode_loop_state
from ollamamax.contract.tables import NODES

MOST_NODES = 1000
"""So many nodes' queues are looked at."""
_REDIS = ("redis_version", "used_memory", "maxmemory", "connected_clients", "uptime_in_seconds", "role")
_log = logs.get(__name__)


def system() -> dict[str, Any]:
    """What can be read; what cannot says why in its ``error``. Queries: 2, and 1 for each region."""
    return {
        "version": _version(),
        "python": platform.python_version(),
        "postgres": _postgres(),
        "regions": [_region(region) for region in regions.every()],
    }


def _version() -> str:
    try:
        return version("ollamamax")
    except PackageNotFoundError:
        return "from source"


def _postgres() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), pg_database_size(current_database()),"
                " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),"
                " current_setting('max_connections')::int,"
                " extract(epoch FROM now() - pg_postmaster_start_time())"
            )
            found = cursor.fetchone()
    except DatabaseError as error:
        _log.warning("postgres_unreadable", error=str(error))
        return {"error": type(error).__name__}
    names = ("version", "size_bytes", "connections", "most_connections", "uptime_seconds")
    return {**dict(zip(names, found, strict=True)), "uptime_seconds": float(found[4]), "error": ""}


def _region(region: Region) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": region.name, "error": ""}
    try:
        client = region.client
        told = cast("Mapping[str, Any]", client.info())
        gateways = cast("set[bytes]", client.smembers(keys.GATEWAYS))
        alive = [client.exists(keys.gateway_alive(each.decode())) for each in gateways]
        shown |= {
            "redis": {name: told.get(name) for name in _REDIS},
            "gateways": sum(bool(each) for each in alive),
            "gateways_missed": sum(not each for each in alive),
            "directory_number": region.directory_number(),
            "directory_behind_seconds": publication.behind(region),
            "usage_waiting": client.xlen(keys.USAGE),
            "usage_refused": client.xlen(keys.USAGE_REFUSED),
            "loops": _loops(client),
            "queues": _queues(client),
        }
    except (RedisError, DatabaseError) as error:
        _log.warning("region_unreadable", region=region.name, error=str(error))
        shown["error"] = type(error).__name__
    return shown


def _loops(client: Any) -> list[dict[str, Any]]:
    now = time.time()
    states = sorted((decode_loop_state(value) for value in client.hgetall(keys.LOOPS).values()), key=lambda s: s.loop)
    return [
        {
            "loop": state.loop,
            "leader": state.process,
            "ago_seconds": max(0.0, now - state.began_at),
            "every_seconds": state.every_ms / 1000,
            "took_ms": state.took_ms,
            "behind_ms": state.behind_ms,
            "spent_ms": state.spent_ms,
            "error": state.error,
        }
        for state in states
    ]


def _queues(client: Any) -> dict[str, Any]:
    """Of the nodes' Celery queues and inboxes: what waits in all, and the longest."""
    entries: dict[bytes, bytes] = client.hgetall(keys.directory(NODES.name))
    nodes = [node.decode() for node in entries if node][:MOST_NODES]
    with client.pipeline(transaction=False) as pipe:
        for node in nodes:
            pipe.llen(keys.node_queue(node))
            pipe.llen(keys.node_inbox(node))
        lengths = pipe.execute() if nodes else []
    pairs = list(zip(nodes, lengths[::2], lengths[1::2], strict=True))
    longest = sorted(pairs, key=lambda each: -(each[1] + each[2]))[:10]
    return {
        "nodes": len(nodes),
        "nodes_reporting": len(read(client, nodes).states) if nodes else 0,
        "messages": sum(messages for _, messages, _ in pairs),
        "tickets": sum(tickets for _, _, tickets in pairs),
        "longest": [
            {
                "node": node,
                "node_name": NODES.decode(entries[node.encode()]).name,
                "messages": messages,
                "tickets": tickets,
            }
            for node, messages, tickets in longest
            if messages + tickets
        ],
    }
