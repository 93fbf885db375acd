"""Reads what the placement of versions in memory is decided from: nodes and what they said, versions and their terms, what is asked for and what is loaded."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from django.utils import timezone

from cluster.engines.llamacpp_memory import needed
from cluster.models import Node
from cluster.placement.fleet import may_be_on
from cluster.placement.memory import DEFAULT_CONTEXT
from cluster.placement.plan import plan
from cluster.placement.terms import LoadedReplica, LoadPlan, LoadTerms, PlacementNode, PlacementVersion
from cluster.queries.node import states
from cluster.scheduling.eligibility import memory_of
from models_registry.models import Channel, Replica, Rollout, Version
from models_registry.queries.memory import KnownMemory, known_memory
from models_registry.queries.replication import ReplicationRules, rules_of
from models_registry.queries.scaling import KnownScaling, is_fresh, known_scaling, open_requests
from models_registry.replication.terms import ReplicationTerms
from models_registry.rollout.plan import OPEN
from models_registry.rollout.steps import RolloutKind
from ollamamax.contract import Load, ModelState, NodeState
from ollamamax.contract.profile import Profile
from ollamamax.metering import queries as metering

WINDOW = datetime.timedelta(minutes=10)
"""The demand is the mean of this time."""
RESERVE = 0.05
"""Of a node's memory, that is left free: what else runs there is not always the same."""
_ON_DISK = frozenset({"present", "ready", "loading", "loaded"})
_IN_MEMORY = frozenset({"loading", "loaded"})
_NOWHERE = ("-",)
"""Regions of a version whose models may run in none together: no region is called so."""


@dataclass(frozen=True)
class PlacementSnapshot:
    """What a plan was made of, with what people call it; and the plan."""

    tenant: uuid.UUID
    at: datetime.datetime
    nodes: Sequence[PlacementNode]
    versions: Sequence[PlacementVersion]
    loaded: Sequence[LoadedReplica]
    node_names: Mapping[str, str]
    version_names: Mapping[str, str]
    engine_names: Mapping[tuple[str, str], str]
    """What the engine of a node calls a version."""
    loads: Mapping[str, Load]
    """By version, what its profiles fix of an instance."""
    free: Mapping[str, int]
    """Bytes that each node has free at this moment."""
    loading: frozenset[tuple[str, str]]
    """Node and version of what is on its way into memory."""
    terms: Mapping[str, ReplicationTerms]
    """By version: those that rule it."""
    channels: Mapping[str, Sequence[str]]
    """By version: its full names."""
    shared: frozenset[str]
    """Versions that other tenants may ask for."""
    scaling: Mapping[str, KnownScaling]
    """By version: what autoscaling decided last, where that counts still."""
    keep_warm: bool
    plan: LoadPlan

    def replicas(self, digest: str) -> int:
        """In memory, or on their way into it, on nodes that take requests."""
        takes = {node.id for node in self.nodes if node.takes}
        return sum(each.digest == digest and each.node in takes for each in self.loaded)

    def slots(self, digest: str) -> float:
        """Of a replica, in the mean of the nodes that may run the version, have it on disk, and take requests; 0 where there are none."""
        version = next(each for each in self.versions if each.digest == digest)
        found = [node.slots for node in self.nodes if node.id in version.holders and may_be_on(version, node)]
        return sum(found) / len(found) if found else 0.0


def planned(tenant: uuid.UUID) -> PlacementSnapshot:
    """The plan for the nodes and versions of the tenant in scope, from what is so now. Queries: 10. Raises `Unavailable` when Redis is away."""
    found = list(Node.objects.order_by("pk"))
    said = states(found)
    channels = list(Channel.objects.select_related("model", "version").order_by("model__name", "name"))
    by_version: dict[str, list[Channel]] = {}
    for each in channels:
        if each.version.source != Version.Source.ARTIFACT:
            by_version.setdefault(each.version.digest, []).append(each)
    versions = {digest: some[0].version for digest, some in by_version.items()}
    known, rules = known_memory(versions.values()), rules_of([tenant])
    shared = frozenset(digest for digest, some in by_version.items() if any(each.model.shared for each in some))
    demand, used = _demand(tenant, found, list(versions), shared), _used(versions.values())
    kinds = {
        _kind(each.engine, state): (each.engine, state.capacity)
        for each in found
        if (state := said.get(each.id.hex)) is not None
    }
    nodes = [_node(each, said.get(each.id.hex)) for each in found]
    now = timezone.now()
    # Nobody asks for the old version of a switch, and a rollback needs it where it is.
    switching = Rollout.objects.filter(kind=RolloutKind.BLUE_GREEN, state__in=OPEN)
    stays = set(switching.values_list("from_version", flat=True))
    placed = [
        _version(
            version,
            by_version[digest],
            said,
            kinds,
            known,
            rules,
            demand[digest],
            _idle(used.get(version.id), now),
            stays=digest in stays,
        )
        for digest, version in versions.items()
    ]
    loaded = list(_loaded(said, known))
    terms = {digest: rules.of(version) for digest, version in versions.items()}
    scaling = (
        {digest: each for digest, each in known_scaling(tenant).items() if is_fresh(each, now)} if rules.scales else {}
    )
    placed = [with_scaling(each, terms[each.digest], scaling.get(each.digest), nodes, loaded) for each in placed]
    return PlacementSnapshot(
        tenant,
        now,
        nodes,
        placed,
        loaded,
        {each.id.hex: each.name for each in found},
        {digest: f"{some[0].model.name}:{some[0].name}" for digest, some in by_version.items()},
        {(node, model.version): model.name for node, state in said.items() for model in state.models},
        {digest: _load(some) for digest, some in by_version.items()},
        {node: memory_of(state).free or 0 for node, state in said.items()},
        frozenset(
            (node, model.version) for node, state in said.items() for model in state.models if model.state == "loading"
        ),
        terms,
        {digest: [f"{each.model.name}:{each.name}" for each in some] for digest, some in by_version.items()},
        shared,
        scaling,
        rules.of_tenant(tenant).keep_warm,
        plan(nodes, placed, loaded),
    )


def with_scaling(
    version: PlacementVersion,
    terms: ReplicationTerms,
    known: KnownScaling | None,
    nodes: Iterable[PlacementNode],
    loaded: Iterable[LoadedReplica],
) -> PlacementVersion:
    """With what autoscaling wants. Where it has an objective and nothing is decided, what is in memory stays, and no more comes."""
    warmth = None if known is None else known.warmth
    if terms.scaling is None:
        return dataclasses.replace(version, warmth=warmth)
    if known is not None and known.wanted is not None:
        # The bounds are those of the decision, which a schedule may have set.
        bounds = dataclasses.replace(version.terms, least=min(known.least, known.wanted), most=None)
        return dataclasses.replace(version, wanted=known.wanted, terms=bounds, warmth=warmth)
    serving = {node.id for node in nodes if may_be_on(version, node)}
    there = sum(each.digest == version.digest and each.node in serving for each in loaded)
    # Nor does what is beyond the terms' own bound leave: a schedule may have allowed more.
    return dataclasses.replace(
        version, wanted=there, terms=dataclasses.replace(version.terms, most=None), warmth=warmth
    )


def _load(channels: Sequence[Channel]) -> Load:
    """With the largest context that a model of the version asks for: a smaller one would be loaded again."""
    profiles = [msgspec.convert(each.model.profile, Profile) for each in channels]
    context = max((each.num_ctx for each in profiles if each.num_ctx), default=None)
    return Load(context, profiles[0].num_gpu)


def _node(node: Node, state: NodeState | None) -> PlacementNode:
    memory = None if state is None else memory_of(state).most
    well = state is not None and memory is not None and any(engine.healthy for engine in state.engines)
    return PlacementNode(
        node.id.hex,
        node.tenant_id.hex,
        0 if state is None or memory is None else int(memory - RESERVE * _total(state)),
        0 if state is None else state.capacity,
        _kind(node.engine, state),
        region=node.region,
        labels=node.labels,
        taints=tuple(node.taints),
        access=tuple(node.access),
        takes=well and node.schedulable and node.lifecycle == Node.Lifecycle.READY,
    )


def _total(state: NodeState) -> int:
    return state.memory_total + sum(gpu.memory_total or 0 for gpu in state.gpus)


def _kind(engine: str, state: NodeState | None) -> str:
    """Nodes with the same need: of an engine, with so many slots."""
    return f"{engine} {0 if state is None else state.capacity}"


def _version(
    version: Version,
    channels: Sequence[Channel],
    said: Mapping[str, NodeState],
    kinds: Mapping[str, tuple[str, int]],
    known: KnownMemory,
    rules: ReplicationRules,
    demand: float,
    idle_for: float,
    *,
    stays: bool,
) -> PlacementVersion:
    profiles = [msgspec.convert(each.model.profile, Profile) for each in channels]
    context = max((each.num_ctx for each in profiles if each.num_ctx), default=None)
    holders = frozenset(
        node
        for node, state in said.items()
        if any(model.version == version.digest and model.state in _ON_DISK for model in state.models)
    )
    needs: dict[str, int] = {}
    for kind, (engine, slots) in kinds.items():
        # Servers of OpenAI's API have what they were started with.
        need = None if engine == "openai" else known.expected(engine, version.digest, context, slots)
        if need is not None:
            # A node of llama.cpp loads nothing for which it has not that much free, whatever it takes then.
            needs[kind] = max(need, needed(version.size)) if engine == Node.EngineKind.LLAMACPP else need
    terms = rules.of(version)
    return PlacementVersion(
        version.digest,
        version.tenant_id.hex,
        needs,
        holders,
        _terms(
            profiles, terms.spread, terms.priority, terms.least_loaded or 0, terms.most_loaded, terms.pinned or stays
        ),
        demand,
        idle_for,
        unknown=known.shapes[version.digest].unknown,
    )


def _terms(
    profiles: Sequence[Profile], spread: str, priority: int, least: int, most: int | None, pinned: bool
) -> LoadTerms:
    """What all models allow that have the version: it is asked for under each of their names."""
    regions: set[str] | None = None
    labels: dict[str, str] = {}
    tolerations = set(profiles[0].tolerations)
    for each in profiles:
        if each.regions:
            regions = set(each.regions) if regions is None else regions & set(each.regions)
        for name, value in each.labels.items():
            labels[name] = value if labels.get(name, value) == value else "\0"
        tolerations &= set(each.tolerations)
    return LoadTerms(
        () if regions is None else tuple(sorted(regions)) or _NOWHERE,
        labels,
        tuple(sorted(tolerations)),
        spread,
        priority,
        least,
        most,
        pinned,
    )


def _loaded(said: Mapping[str, NodeState], known: KnownMemory) -> Iterable[LoadedReplica]:
    for node, state in said.items():
        for model in state.models:
            if model.state in _IN_MEMORY:
                yield LoadedReplica(node, model.version, _taken(model, state, known))


def _taken(model: ModelState, state: NodeState, known: KnownMemory) -> int:
    """What a replica takes by its engine's word; of one that is on its way what is expected."""
    if model.memory:
        return model.memory
    if model.version not in known.shapes:
        return model.size or 0
    context = model.context_length or DEFAULT_CONTEXT
    return known.expected(model.engine, model.version, context, state.capacity) or model.size or 0


def _demand(
    tenant: uuid.UUID, nodes: Sequence[Node], versions: Collection[str], shared: Collection[str]
) -> dict[str, float]:
    """By version: requests at once in the mean of `WINDOW`, of others those too that these nodes ran, and those that wait now. One query.

    Raises `Unavailable`."""
    since = timezone.now() - WINDOW
    found = dict.fromkeys(versions, 0.0)
    for version, seconds in metering.seconds_by_version(tenant, [each.id for each in nodes], versions, since).items():
        found[version] = seconds / WINDOW.total_seconds()
    for version, (_, waiting) in open_requests(tenant, versions, shared).items():
        found[version] += waiting
    return found


def _used(versions: Iterable[Version]) -> dict[uuid.UUID, datetime.datetime]:
    """When each was last loaded, or left memory, anywhere. One query."""
    rows = Replica.objects.filter(version__in=list(versions), used_at__isnull=False)
    found: dict[uuid.UUID, datetime.datetime] = {}
    for version, at in rows.values_list("version_id", "used_at"):
        if at is not None:
            found[version] = max(at, found.get(version, at))
    return found


def _idle(used: datetime.datetime | None, now: datetime.datetime) -> float:
    return float("inf") if used is None else max(0.0, (now - used).total_seconds())
