"""The loop that decides on which nodes versions lie, for tenants that have terms for that: reads rows alone, and writes what is to be and why."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Callable, Iterable

from django.db import transaction
from django.utils import timezone

from cluster.lifecycle.hearing import LEAST_SILENT
from cluster.models import Node
from models_registry.actions.lock import lock_replicas
from models_registry.actions.replica import held_nodes, made_now, wanted_versions
from models_registry.actions.replication import note_plan
from models_registry.models import Replica, ReplicationPolicy, Version
from models_registry.queries.replication import ReplicationRules, rules_of
from models_registry.replication.placement import HeldCopy, HostNode, Move, PlacedVersion, PlacementPlan, place, shown
from ollamamax import logs
from ollamamax.identity.scope import every_tenant

THERE = datetime.timedelta(seconds=30)
"""A node that was heard so recently may get copies."""
UNHEARD = datetime.timedelta(minutes=10)
"""Copies on a node that was not heard for longer are made elsewhere, even if nobody called it unreachable."""
MOST_SHORTAGES = 200
_WHOLE = frozenset({Replica.State.READY, Replica.State.PRESENT})
_log = logs.get(__name__)


class LastPlan:
    """What one process planned from: where nothing has changed, nothing is planned."""

    def __init__(self) -> None:
        self.seen: dict[uuid.UUID, object] = {}


def plan_replication(check: Callable[[], None] = lambda: None, last: LastPlan | None = None) -> int:
    """Decide anew for each tenant with terms where anything has changed. Returns how many copies are to be made or to go.

    ``check`` raises when another process does this by now. Queries: 1 where no tenant has terms; else 5 for all, and 2 for each to compare.
    """
    with every_tenant():
        tenants = sorted(set(ReplicationPolicy.objects.values_list("tenant_id", flat=True)))
        if not tenants:
            return 0
        rules = rules_of(tenants)
        wanted = wanted_versions(set(tenants))
        made = made_now()
        return sum(_plan(tenant, rules, wanted, made, check, last or LastPlan()) for tenant in tenants)


def _plan(
    tenant: uuid.UUID,
    rules: ReplicationRules,
    wanted: set[uuid.UUID],
    made: set[tuple[str, str]],
    check: Callable[[], None],
    last: LastPlan,
) -> int:
    hosted = Version.objects.filter(tenant_id=tenant, source=Version.Source.HOSTED).only("tenant_id", "digest", "size")
    versions = {
        version.digest: version
        for version in hosted
        if (version.id in wanted or (tenant.hex, version.digest) in made) and rules.places(version)
    }
    nodes = _nodes(tenant)
    copies = _copies(tenant, versions.values())
    terms = {digest: rules.of(version) for digest, version in versions.items()}
    seen = (terms, nodes, copies, rules.of_tenant(tenant))
    if last.seen.get(tenant) == seen:
        return 0
    of_tenant = rules.of_tenant(tenant)
    placement = place(
        [PlacedVersion(digest, version.size, terms[digest]) for digest, version in versions.items()],
        nodes,
        copies,
        quota=of_tenant.quota_bytes,
        evict=of_tenant.evict,
    )
    _write(tenant, placement, versions, check)
    if not placement.moves:
        last.seen[tenant] = seen
    return len(placement.moves)


def _nodes(tenant: uuid.UUID) -> list[HostNode]:
    """Those whose engine has what we bring. One query."""
    now = timezone.now()
    hosts = Node.objects.filter(tenant_id=tenant, engine=Node.EngineKind.LLAMACPP).order_by("pk")
    return [
        HostNode(
            node.id.hex,
            node.region,
            node.labels,
            takes=node.schedulable and node.last_seen_at is not None and now - node.last_seen_at < THERE,
            away=_away(node, now),
        )
        for node in hosts.only("region", "labels", "schedulable", "last_seen_at", "lifecycle", "lifecycle_since")
    ]


def _away(node: Node, now: datetime.datetime) -> float:
    """As `HostNode` has it, from its last word on. Unreachable is what the controller calls a node whose silence is no usual pause of its
    (`cluster.lifecycle`)."""
    unheard = node.last_seen_at is None or now - node.last_seen_at > UNHEARD
    if not node.schedulable or unheard or node.lifecycle == Node.Lifecycle.LOST:
        return math.inf
    if node.lifecycle == Node.Lifecycle.UNREACHABLE:
        return LEAST_SILENT + max(0.0, (now - node.lifecycle_since).total_seconds())
    return 0.0


def _copies(tenant: uuid.UUID, versions: Iterable[Version]) -> list[HeldCopy]:
    """One query."""
    digests = {version.id: version.digest for version in versions}
    rows = Replica.objects.filter(tenant_id=tenant).order_by("pk")
    decided = {Replica.Desired.HELD.value: True, Replica.Desired.ABSENT.value: False}
    return [
        HeldCopy(
            node.hex,
            digests[version],
            wanted=decided.get(desired),
            whole=state in _WHOLE,
            failed=state == Replica.State.FAILED,
            in_use=in_use,
            paused=paused,
            came=float(id_.int >> 80),
            used=used.timestamp() if used is not None else 0.0,
        )
        for id_, node, version, desired, state, in_use, paused, used in rows.values_list(
            "id", "node_id", "version_id", "desired", "state", "in_use", "paused", "used_at"
        )
        if version in digests
    ]


def _write(
    tenant: uuid.UUID, placement: PlacementPlan, versions: dict[str, Version], check: Callable[[], None]
) -> None:
    shortages = shown(placement.shortages[:MOST_SHORTAGES])
    with transaction.atomic(durable=True):
        check()
        if placement.moves:
            lock_replicas()
            _write_moves(tenant, placement.moves, versions)
            note_plan(tenant)
        ReplicationPolicy.objects.filter(tenant_id=tenant).exclude(shortages=shortages).update(shortages=shortages)
    for move in placement.moves:
        _log.info("copy_decided", node=move.node, version=move.digest, hold=move.hold, reason=move.reason)


def _write_moves(tenant: uuid.UUID, moves: Iterable[Move], versions: dict[str, Version]) -> None:
    """What a node or version that goes just now is spared is decided anew at the next look."""
    by_place = {(uuid.UUID(move.node), versions[move.digest].id): move for move in moves}
    nodes = {node for node, _ in by_place}
    rows = Replica.objects.filter(node_id__in=nodes, version_id__in={version for _, version in by_place})
    now = timezone.now()
    changed, known = [], set()
    for row in rows.select_for_update().order_by("pk"):
        key = (row.node_id, row.version_id)
        known.add(key)
        if (move := by_place.get(key)) is None:
            continue
        row.desired = Replica.Desired.HELD if move.hold else Replica.Desired.ABSENT
        row.reason, row.changed_at = move.reason.value, now
        changed.append(row)
    there = held_nodes(nodes)
    ids = {version.id for version in versions.values()}
    there_versions = set(Version.objects.filter(pk__in=ids).values_list("pk", flat=True))
    Replica.objects.bulk_update(changed, ["desired", "reason", "changed_at"], batch_size=1000)
    Replica.objects.bulk_create(
        [
            Replica(
                tenant_id=tenant,
                version_id=version,
                node_id=node,
                desired=Replica.Desired.HELD,
                reason=move.reason.value,
                changed_at=now,
            )
            for (node, version), move in by_place.items()
            if move.hold and (node, version) not in known and node in there and version in there_versions
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
