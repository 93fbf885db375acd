"""Brings the states of nodes in line with what is heard of them and with what people ordered: each change audited, and told to who watches."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from django.db import transaction
from django.utils import timezone

from cluster.lifecycle.hearing import Ears
from cluster.lifecycle.machine import Hearing, Lifecycle, NodeFacts, following
from cluster.models import Node
from cluster.telemetry import Briefs
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus import keys, publication, regions
from ollamamax.contract.tables import NODES
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.principal import system

NODE_STATES = "states of nodes"
"""By this loops are woken when one has changed (`ollamamax.bus.loops`)."""
MOST_CHANGES = 100
"""Of one run: what befalls a whole fleet is written down bit by bit, and stands in nobody's way."""
READ_EACH = 10.0
"""Seconds after which the rows are read again though nothing shows a change."""
_AWAY = frozenset({"unreachable", "lost"})
_REASONS: Mapping[Lifecycle, str] = {
    "ready": "It reports, and takes requests.",
    "cordoned": "It reports, and takes no new requests.",
    "draining": "It takes no new requests, and what runs has until the deadline.",
    "unreachable": "It has not been heard for longer than is usual for it.",
    "lost": "It stayed unreachable.",
}
_log = logs.get(__name__)


@dataclass(frozen=True)
class _Row:
    lifecycle: Lifecycle
    tenant: uuid.UUID
    schedulable: bool
    drains: bool


@dataclass
class FollowedNodes:
    """What one process remembers from run to run."""

    ears: Ears = field(default_factory=Ears)
    briefs: Briefs = field(default_factory=Briefs)
    rows: dict[str, _Row] = field(default_factory=dict)
    version: bytes = b"-"
    read_at: float = -READ_EACH


def follow_nodes(followed: FollowedNodes, check: Callable[[], None] = lambda: None, *, now: float | None = None) -> int:
    """Look once; how many states were changed. ``check`` raises when another process does this by now.

    Queries: none while nothing changes, 1 where the rows are read again, and 7 for each change. Raises `RedisError`.
    """
    at = time.monotonic() if now is None else now
    clients = [region.client for region in regions.every()]
    own = regions.own().client
    version = cast("bytes | None", own.get(keys.DIRECTORY_VERSION)) or b""
    if version != followed.version or at - followed.read_at >= READ_EACH:
        followed.rows, followed.version, followed.read_at = _rows(), version, at
    heard = followed.briefs.read(own, list(followed.rows))
    boots = {node: brief.boot for node, brief in heard.items()}
    followed.ears.look(followed.rows.keys(), boots, now=at, redis=_run_of(own))
    changed = 0
    for node, row in followed.rows.items():
        hearing = followed.ears.of(node, away=row.lifecycle in _AWAY)
        drains = row.drains and not _is_drained(clients, node)
        if following(row.lifecycle, NodeFacts(row.schedulable, drains, hearing)) == row.lifecycle:
            continue
        if changed >= MOST_CHANGES:
            break
        changed += _change(node, row.tenant, hearing, clients, check)
    if changed:
        followed.read_at = -READ_EACH
    return changed


def is_draining(node: Node, drained: bool) -> bool:
    """Whether a drain of the node goes on: what runs has ended, or the deadline is over."""
    return node.drain_until is not None and node.drain_until > timezone.now() and not drained


def _rows() -> dict[str, _Row]:
    now = timezone.now()
    with every_tenant():
        # Tuples: of thousands of nodes models would cost more than all else here.
        found = Node.objects.values_list("id", "tenant", "lifecycle", "schedulable", "drain_until")
        return {
            id_.hex: _Row(cast("Lifecycle", lifecycle), tenant, schedulable, until is not None and until > now)
            for id_, tenant, lifecycle, schedulable, until in found
        }


def _change(
    node_hex: str, tenant: uuid.UUID, hearing: Hearing, clients: list[redis.Redis], check: Callable[[], None]
) -> int:
    """The row is asked again under its lock: who cordoned it meanwhile is not overruled."""
    acting = system("nodes", tenant.hex)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        check()
        node = Node.objects.select_for_update().filter(pk=uuid.UUID(node_hex)).first()
        if node is None:
            return 0
        before = cast("Lifecycle", node.lifecycle)
        drains = is_draining(node, _is_drained(clients, node_hex))
        after = following(before, NodeFacts(node.schedulable, drains, hearing))
        if after == before:
            return 0
        node.lifecycle, node.lifecycle_since = after, timezone.now()
        node.save(update_fields=["lifecycle", "lifecycle_since"])
        record(
            acting=acting,
            action="node.follow",
            target_type="node",
            target_id=node.id,
            tenant=tenant,
            detail={"name": node.name, "from": before, "to": after, "reason": _REASONS[after]},
        )
        publication.publish_on_commit(NODES, [node_hex])
    _log.info("node_state", node=node_hex, before=before, after=after)
    return 1


def _is_drained(clients: list[redis.Redis], node: str) -> bool:
    """Whether nothing that was given to it runs there any more. Raises `RedisError`."""
    return not any(cast("int", client.scard(keys.node_slots(node))) for client in clients)


def _run_of(client: redis.Redis) -> str:
    return str(cast("dict[str, Any]", client.info("server")).get("run_id", ""))
