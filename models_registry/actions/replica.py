"""The loop that brings versions to nodes and notes what became of each replica. Level-triggered, safe to run twice."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import redis
from celery import current_app
from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.db.models import Count, Max, Q, QuerySet, Value
from django.utils import timezone

from cluster import guard
from cluster.models import Node
from cluster.queries.node import fleet_mark
from cluster.telemetry import Briefs, read_states
from models_registry.actions.lock import lock_replicas
from models_registry.actions.version import register_external
from models_registry.lifecycle import KEPT_ON_NODES
from models_registry.models import Channel, Release, Replica, ReplicationPolicy, Version
from models_registry.queries.replication import wanted_replicas
from models_registry.replication.changed import ChangedNodes
from models_registry.replication.plan import (
    Fetch,
    Removal,
    WantedReplica,
    hosts_blobs,
    missing,
    observed,
    pause_after,
    unneeded,
)
from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.contract import ModelState, NodeState
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel import errors
from ollamamax.kernel.principal import system

ASK_AGAIN_SECONDS = 15
"""How long a fetch that was asked for is left in peace, unless the node reports it under way."""
FORGIVEN_SECONDS = 3600
MOST_NAMES = 1000
"""Models of its own for which a node gets rows, whether it still has them or not; they go with the node."""
MOST_NEW_NAMES = 50
"""Of one node in one round."""
MOST_REMOVALS = 50
"""Likewise: a node can name versions without end that it is to remove, and each is a message."""
_STATES = {
    "fetching": Replica.State.FETCHING,
    "ready": Replica.State.READY,
    "loading": Replica.State.READY,
    "loaded": Replica.State.READY,
    "present": Replica.State.PRESENT,
    "failed": Replica.State.FAILED,
}
_GONE = frozenset({Replica.State.LOST, Replica.State.PENDING})
"""Of rows of versions that a node does not have."""
_WRITTEN = [
    *(
        "desired",
        "state",
        "bytes_done",
        "bytes_per_second",
        "bytes_of_peers",
        "in_use",
        "used_at",
        "memory",
        "memory_context",
        "memory_slots",
        "memory_engine",
        "memory_at",
        "error",
        "changed_at",
    )
]
_IN_USE = frozenset({"loading", "loaded"})
Wanted = Mapping[tuple[str, str], WantedReplica]
_log = logs.get(__name__)


def reconcile_replicas(check: Callable[[], None] = lambda: None, changes: ChangedNodes | None = None) -> int:
    """Fetch what is missing, remove what no name points at any more, note what became of each replica. Returns how many nodes were looked at.

    ``changes`` remembers what was seen; without it every node is looked at. ``check`` raises when another process does this by now.
    Queries: 3 where nothing has changed, now and then 4; 5 more to compare the nodes that are looked at with their rows, and where these are
    others 2 to write them, and more only for what is first seen on a node.
    """
    client = regions.own().client
    with every_tenant():
        tenants = _tenants_of_nodes() if changes is None else changes.tenants(fleet_mark(), _tenants_of_nodes)
        # The nodes' word before the names: else a version that was published in between would be taken off its node.
        briefs = (Briefs() if changes is None else changes.briefs).read(client, list(tenants))
        made = made_now()
        marks = _marks(made)
        chosen = set(briefs) if changes is None else changes.pick(briefs, tenants, marks)
        if not chosen:
            return 0
        nodes = {node.id.hex: node for node in Node.objects.filter(pk__in=[uuid.UUID(node) for node in chosen])}
        states = read_states(client, list(nodes))
        owners = {node.tenant_id for node in nodes.values()}
        said = {model.version for state in states.values() for model in state.models}
        in_use = wanted_versions(owners)
        wanted_or_held = Q(digest__in=said | {digest for _, digest in made}) | Q(
            source=Version.Source.HOSTED, pk__in=in_use
        )
        found = Version.objects.filter(wanted_or_held, tenant_id__in=owners)
        versions = {(v.tenant_id.hex, v.digest): v for v in found.defer("details")}
        wanted_here = {
            key: version
            for key, version in versions.items()
            if version.source == Version.Source.HOSTED and (version.id in in_use or key in made)
        }
        wanted = wanted_replicas(wanted_here, owners, nodes.values())
    _take_note_of_external(nodes, states, versions)
    unsettled = _unknown(tenants, states, versions)
    for fetch in missing(wanted, tenants, states):
        unsettled.add(fetch.node)
        version = versions[tenants[fetch.node], fetch.digest]
        # The lease keeps a tick from asking for what the last one asked for.
        if client.set(keys.fetch_asked(fetch.node, fetch.digest), b"1", nx=True, ex=ASK_AGAIN_SECONDS):
            if fetch.failed:
                _wait_longer(client, fetch)
            _ask(fetch.node, version)
    removed: Counter[str] = Counter()
    for removal in unneeded(wanted, tenants, states):
        unsettled.add(removal.node)
        if removed[removal.node] < MOST_REMOVALS and client.set(
            keys.removal_asked(removal.node, removal.digest), b"1", nx=True, ex=ASK_AGAIN_SECONDS
        ):
            removed[removal.node] += 1
            _remove(removal)
    unsettled |= _write_each(nodes, states, versions, {(each.tenant, each.digest): each for each in wanted}, check)
    if changes is not None:
        changes.looked(briefs, marks, [node for node in chosen if node in states], unsettled)
    return len(states)


def wanted_versions(owners: set[uuid.UUID]) -> set[uuid.UUID]:
    """Those that channels of these tenants point at, and those that nodes have for their stage. Two queries."""
    staged = Release.objects.filter(tenant_id__in=owners, stage__in=KEPT_ON_NODES)
    return {
        *Channel.objects.filter(tenant_id__in=owners).values_list("version_id", flat=True),
        *staged.values_list("version_id", flat=True),
    }


def _tenants_of_nodes() -> dict[str, str]:
    return {node.hex: tenant.hex for node, tenant in Node.objects.values_list("id", "tenant_id")}


def _marks(made: set[tuple[str, str]]) -> dict[str, object]:
    """Of each tenant something that is another one when its names, its versions, their stages or those that are ``made`` have changed. One query."""
    marks: dict[str, list[object]] = {}
    names = _counted(Channel.objects.all(), 0, "moved_at")
    versions = _counted(Version.objects.all(), 1, "created_at")
    stages = _counted(Release.objects.all(), 2, "stage_changed_at")
    policies = _counted(ReplicationPolicy.objects.all(), 3, "changed_at")
    plans = _counted(ReplicationPolicy.objects.all(), 4, "planned_at")
    for tenant, *rest in sorted(names.union(versions, stages, policies, plans, all=True)):
        marks.setdefault(tenant.hex, []).append(tuple(rest))
    for tenant, digest in sorted(made):
        marks.setdefault(tenant, []).append(digest)
    return {tenant: tuple(mark) for tenant, mark in marks.items()}


def _counted(rows: QuerySet[Any], kind: int, changed: str) -> QuerySet[Any, tuple[Any, ...]]:
    """Of each tenant that has some: the ``kind``, how many there are, and when the last one was ``changed``."""
    counted: QuerySet[Any, tuple[Any, ...]] = rows.order_by().values_list("tenant_id", Value(kind))
    latest: QuerySet[Any, tuple[Any, ...]] = counted.annotate(Count("pk"), last=Max(changed))
    return latest


def _unknown(
    tenants: Mapping[str, str], states: Mapping[str, NodeState], versions: Mapping[tuple[str, str], Version]
) -> set[str]:
    """Nodes with models of which no note is taken yet."""
    return {
        node
        for node, state in states.items()
        if any((tenants[node], model.version) not in versions for model in state.models)
    }


def made_now() -> set[tuple[str, str]]:
    """Tenant and digest of versions at which no name points yet: jobs make them, and wait for a node that can serve them. One query."""
    hosted = Version.objects.filter(source=Version.Source.HOSTED, channels=None)
    unnamed = [(tenant.hex, digest) for tenant, digest in hosted.values_list("tenant_id", "digest")]
    held = regions.own().client.mget([keys.version_made(*key) for key in unnamed]) if unnamed else []
    return {key for key, lease in zip(unnamed, held, strict=True) if lease}


def _wait_longer(client: redis.Redis, fetch: Fetch) -> None:
    """What fails again and again is asked for ever more seldom; an hour without a failure, and it begins anew."""
    failures = cast(int, client.incr(keys.fetch_failed(fetch.node, fetch.digest)))
    client.expire(keys.fetch_failed(fetch.node, fetch.digest), FORGIVEN_SECONDS)
    client.expire(keys.fetch_asked(fetch.node, fetch.digest), pause_after(failures))


def _ask(node: str, version: Version) -> None:
    current_app.send_task(
        "models_registry.fetch_version",
        kwargs={
            "version": version.digest,
            "name": version.manifest["name"],
            "manifest": version.manifest,
            "base_url": settings.PUBLIC_URL,
        },
        queue=keys.node_queue(node),
        expires=ASK_AGAIN_SECONDS,
    )
    _log.info("fetch_asked", node=node, version=version.digest)


def _remove(removal: Removal) -> None:
    current_app.send_task(
        "models_registry.remove_version",
        kwargs={"version": removal.digest},
        queue=keys.node_queue(removal.node),
        expires=ASK_AGAIN_SECONDS,
    )
    _log.info("removal_asked", node=removal.node, version=removal.digest)


def _take_note_of_external(
    nodes: dict[str, Node], states: dict[str, NodeState], versions: dict[tuple[str, str], Version]
) -> None:
    client = regions.own().client
    for name, state in states.items():
        tenant = nodes[name].tenant_id
        known, fresh = _names_of(nodes[name]) if _has_new(nodes[name], state, versions) else 0, 0
        kinds = {engine.kind: engine.hosts_blobs for engine in state.engines}
        for model in state.models:
            if kinds.get(model.engine) is False and (tenant.hex, model.version) not in versions:
                known += 1
                fresh += 1
                if fresh > MOST_NEW_NAMES:
                    break  # the rest in the next rounds: nobody else's wait meanwhile
                if known > MOST_NAMES:
                    guard.note(client, name, f"more than {MOST_NAMES} models of its own")
                    break
                try:
                    versions[tenant.hex, model.version] = register_external(
                        acting=system("models_registry.reconcile_replicas", tenant.hex),
                        name=model.name,
                        digest=model.version,
                        engine=model.engine,
                        size=model.size,
                    )
                except errors.Conflict as error:
                    guard.note(client, name, error.message)
                    break
                except (errors.InvalidRequest, DataError, IntegrityError) as error:
                    guard.note(client, name, f"a model's name or digest is none: {str(error)[:200]}")


def _has_new(node: Node, state: NodeState, versions: dict[tuple[str, str], Version]) -> bool:
    return any((node.tenant_id.hex, model.version) not in versions for model in state.models)


def _names_of(node: Node) -> int:
    """How many models of its own it ever reported. One query."""
    with every_tenant():
        return Replica.objects.filter(node=node, version__source=Version.Source.EXTERNAL).count()


def _write_each(
    nodes: dict[str, Node],
    states: dict[str, NodeState],
    versions: dict[tuple[str, str], Version],
    wanted: Wanted,
    check: Callable[[], None],
) -> set[str]:
    """All at once; node by node when Postgres refuses something, so that only the node that said it goes without.

    Returns the nodes of which something is not written yet.
    """
    states = _otherwise(nodes, states, versions, wanted)
    if not states:
        return set()
    try:
        return _write(nodes, states, versions, wanted, check)
    except (DataError, IntegrityError):
        left: set[str] = set()
        for name, state in states.items():
            try:
                left |= _write(nodes, {name: state}, versions, wanted, check)
            except (DataError, IntegrityError) as error:
                guard.note(regions.own().client, name, f"its replicas cannot be kept: {str(error)[:200]}")
                left.add(name)
        return left


def _otherwise(
    nodes: dict[str, Node],
    states: dict[str, NodeState],
    versions: dict[tuple[str, str], Version],
    wanted: Wanted,
) -> dict[str, NodeState]:
    """The states that say something else than the rows: those that `_write` would change anything for. One query.

    Nearly all nodes that come in their turn are as they were: comparing tuples spares their rows a lock, and this process objects for each.
    """
    rows: dict[uuid.UUID, dict[uuid.UUID, tuple[object, ...]]] = {}
    with every_tenant():
        held_rows = Replica.objects.filter(node_id__in=[nodes[name].pk for name in states])
        for node, version, *kept in held_rows.values_list(
            "node_id",
            "version_id",
            *("memory", "memory_context", "memory_slots", "memory_engine"),
            *("state", "bytes_done", "error", "in_use", "desired"),
        ):
            rows.setdefault(node, {})[version] = tuple(kept)
    return {
        name: state
        for name, state in states.items()
        if not _is_kept(nodes[name], state, versions, wanted, rows.get(nodes[name].pk, {}))
    }


def _is_kept(
    node: Node,
    state: NodeState,
    versions: dict[tuple[str, str], Version],
    wanted: Wanted,
    rows: dict[uuid.UUID, tuple[object, ...]],
) -> bool:
    tenant, held, said = node.tenant_id.hex, observed(state), set()
    for digest, model in held.items():
        version = versions.get((tenant, digest))
        if version is None:
            continue
        said.add(version.id)
        row = rows.get(version.id)
        desired = _desired(version, wanted, node) or (row[-1] if row else None)
        if row is None or row[4:] != (
            *(_STATES[model.state], _bytes(model), model.error or ""),
            *(model.state in _IN_USE, desired),
        ):
            return False
        if is_measured(state, model) and (row[0] is None or row[1:4] != _loaded_as(model)):
            return False
    if any(row[4] not in _GONE for version, row in rows.items() if version not in said):
        return False
    return not hosts_blobs(state) or all(
        versions[key].id in rows
        for key, each in wanted.items()
        if key[0] == tenant and key[1] not in held and each.is_for(node.id.hex)
    )


def _write(
    nodes: dict[str, Node],
    states: dict[str, NodeState],
    versions: dict[tuple[str, str], Version],
    wanted: Wanted,
    check: Callable[[], None],
) -> set[str]:
    """Bring the rows in line with what is wanted and with what the nodes say; a row of a node that is silent keeps its last state.

    Returns the nodes of which something is not written yet, because somebody changes or removes the node or the version just now.
    """
    now = timezone.now()
    with every_tenant(), transaction.atomic(durable=True):
        check()
        lock_replicas()
        held_rows = Replica.objects.filter(node_id__in=[nodes[name].pk for name in states])
        rows = {(r.node_id, r.version_id): r for r in held_rows.select_for_update().order_by("pk")}
        made: list[Replica] = []
        changed: list[Replica] = []
        for name, state in states.items():
            node = nodes[name]
            held = observed(state)
            for digest, model in held.items():
                version = versions.get((node.tenant_id.hex, digest))
                if version is None:
                    continue
                row = rows.get((node.id, version.id))
                desired = _desired(version, wanted, node) or (row.desired if row else Replica.Desired.ANY)
                if row is None:
                    row = Replica(tenant_id=node.tenant_id, version=version, node=node, changed_at=now, state="")
                    made.append(row)
                elif (
                    _same(row, model)
                    and row.desired == desired
                    and not (is_measured(state, model) and _is_other_memory(row, model))
                ):
                    continue
                else:
                    changed.append(row)
                row.desired = desired
                row.state = _STATES[model.state]
                row.bytes_done = _bytes(model)
                row.bytes_per_second = model.bytes_per_second if model.state == "fetching" else None
                row.bytes_of_peers = model.bytes_of_peers or row.bytes_of_peers
                if is_measured(state, model) and (_is_other_memory(row, model) or not row.in_use):
                    row.memory, row.memory_at = model.memory, now
                    row.memory_context, row.memory_slots, row.memory_engine = _loaded_as(model)
                if row.in_use != (model.state in _IN_USE):
                    row.in_use, row.used_at = not row.in_use, now
                row.error = model.error or ""
                row.changed_at = now
            digests = {versions[key].id for key in versions if key[0] == node.tenant_id.hex and key[1] in held}
            changed += _lost(rows, node.id, digests)
            if hosts_blobs(state):
                made += [
                    Replica(
                        tenant_id=node.tenant_id,
                        version=versions[key],
                        node=node,
                        changed_at=now,
                        desired=Replica.Desired.HELD,
                    )
                    for key, each in wanted.items()
                    if key[0] == node.tenant_id.hex
                    and key[1] not in held
                    and each.is_for(name)
                    and (node.id, versions[key].id) not in rows
                ]
        # A version may have been deleted since it was read; none is from here on.
        there = set(Version.objects.filter(pk__in={row.version_id for row in made}).values_list("pk", flat=True))
        nodes_there = held_nodes({row.node_id for row in made})
        # Two loops at once may both make a row; the first stands.
        possible = [row for row in made if row.version_id in there and row.node_id in nodes_there]
        Replica.objects.bulk_create(possible, ignore_conflicts=True)
        Replica.objects.bulk_update(changed, _WRITTEN)
        written = set(possible)
        return {row.node_id.hex for row in made if row not in written}


def held_nodes(nodes: set[uuid.UUID]) -> set[uuid.UUID]:
    """Those that are there, and stay until the transaction ends; without those that somebody changes or removes just now.

    Whoever removes a node has it locked and waits for its replicas, which are locked here: waiting for the node would be for ever.
    """
    if not nodes:
        return set()
    there = Node.objects.filter(pk__in=nodes).select_for_update(skip_locked=True, no_key=True)
    return set(there.values_list("pk", flat=True))


def _same(row: Replica, model: ModelState) -> bool:
    return (
        row.state == _STATES[model.state]
        and row.bytes_done == _bytes(model)
        and row.error == (model.error or "")
        and row.in_use == (model.state in _IN_USE)
    )


def is_measured(state: NodeState, model: ModelState) -> bool:
    """Whether the engine says how much memory a loaded version takes, all of it: llama.cpp's processes do not tell what they have on GPUs."""
    whole = model.engine == "ollama" or not state.gpus
    return model.state == "loaded" and bool(model.memory) and bool(model.context_length) and whole


def _loaded_as(model: ModelState) -> tuple[int | None, int | None, str]:
    return model.context_length, model.slots, model.engine


def _is_other_memory(row: Replica, model: ModelState) -> bool:
    """What was measured is of another context or other slots. What it grows by while it is loaded is the cache of prompts, which makes room."""
    return row.memory is None or (row.memory_context, row.memory_slots, row.memory_engine) != _loaded_as(model)


def _desired(version: Version, wanted: Wanted, node: Node) -> Replica.Desired | None:
    """``None`` where it stays as it is: where terms say which nodes have it, the plan alone decides (`models_registry.actions.placement`)."""
    if version.source == Version.Source.EXTERNAL:
        return Replica.Desired.ANY
    found = wanted.get((node.tenant_id.hex, version.digest))
    if found is None:
        return Replica.Desired.ABSENT
    return Replica.Desired.HELD if found.held is None else None


def _bytes(model: ModelState) -> int:
    return model.bytes_done if model.bytes_done is not None else model.size or 0


def _lost(rows: dict[tuple[uuid.UUID, uuid.UUID], Replica], node: uuid.UUID, held: set[uuid.UUID]) -> list[Replica]:
    """Rows of versions that the node no longer has."""
    lost = []
    for (of, version), row in rows.items():
        if of == node and version not in held and row.state not in _GONE:
            row.state, row.bytes_done, row.changed_at = Replica.State.LOST, 0, timezone.now()
            row.bytes_per_second, row.bytes_of_peers, row.in_use = None, 0, False
            lost.append(row)
    return lost
