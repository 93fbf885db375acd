"""Reads what is decided about copies: the terms of each version, and the rows of the last plan."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from django.db.models import Q
from django.utils import timezone

from cluster.models import Node
from models_registry.lifecycle import KEPT_ON_NODES
from models_registry.models import Channel, Model, Release, Replica, ReplicationPolicy, Version
from models_registry.replication.plan import WantedReplica
from models_registry.replication.terms import ReplicationTerms, ruling

_PLAIN = ReplicationTerms()


@dataclass(frozen=True)
class ReplicationRules:
    """The terms of tenants that have some, of their models, and of the versions of those."""

    of_tenants: Mapping[uuid.UUID, ReplicationTerms] = field(default_factory=dict)
    of_versions: Mapping[uuid.UUID, ReplicationTerms] = field(default_factory=dict)

    def of_tenant(self, tenant: uuid.UUID) -> ReplicationTerms:
        return self.of_tenants.get(tenant, _PLAIN)

    def of(self, version: Version) -> ReplicationTerms:
        """The terms of its models; the tenant's where no model has it yet."""
        return self.of_versions.get(version.id, self.of_tenant(version.tenant_id))

    @property
    def scales(self) -> bool:
        """Whether any of them asks for autoscaling, or for keeping models warm."""
        return any(each.keep_warm for each in self.of_tenants.values()) or any(
            each.scaling is not None for some in (self.of_tenants, self.of_versions) for each in some.values()
        )

    def places(self, version: Version) -> bool:
        """Whether a plan says on which nodes it lies; else it lies on all."""
        return self.of(version).places or self.of_tenant(version.tenant_id).quota_bytes is not None


def rules_of(tenants: Collection[uuid.UUID]) -> ReplicationRules:
    """Needs the scope of these tenants, or `every_tenant`. Queries: 1 where there are no terms, else 3."""
    policies = list(
        ReplicationPolicy.objects.filter(tenant_id__in=tenants).values_list("tenant_id", "model_id", "terms")
    )
    if not policies:
        return ReplicationRules()
    of_tenants: dict[uuid.UUID, ReplicationTerms] = {}
    of_models: dict[uuid.UUID | None, ReplicationTerms] = {}
    for tenant, model, written in policies:
        found = msgspec.convert(written, ReplicationTerms)
        if model is None:
            of_tenants[tenant] = found
        else:
            of_models[model] = found
    owners = {tenant for tenant, _, _ in policies}
    channels = Channel.objects.filter(tenant_id__in=owners)
    releases = Release.objects.filter(tenant_id__in=owners, stage__in=KEPT_ON_NODES)
    seen: dict[uuid.UUID, list[ReplicationTerms]] = {}
    for rows in (channels, releases):
        for tenant, version, model in rows.values_list("tenant_id", "version_id", "model_id"):
            seen.setdefault(version, []).append(of_models.get(model, of_tenants.get(tenant, _PLAIN)))
    return ReplicationRules(of_tenants, {version: ruling(each) for version, each in seen.items()})


def wanted_replicas(
    versions: Mapping[tuple[str, str], Version], tenants: Collection[uuid.UUID], nodes: Iterable[Node]
) -> list[WantedReplica]:
    """What these nodes are to have of these versions. Needs `every_tenant`. Queries: 1 where no tenant has terms, else 4."""
    rules = rules_of(tenants)
    if not rules.of_tenants and not rules.of_versions:
        return [WantedReplica(tenant, digest) for tenant, digest in versions]
    now = timezone.now()
    decided: dict[uuid.UUID, dict[str, set[str]]] = {}
    of_interest = {version.id for version in versions.values()}
    rows = Replica.objects.filter(node_id__in=[node.id for node in nodes])
    for id_, node, desired, paused in rows.values_list("version_id", "node_id", "desired", "paused"):
        if id_ in of_interest:
            sets = decided.setdefault(id_, {})
            sets.setdefault(desired, set()).add(node.hex)
            if paused:
                sets.setdefault("paused", set()).add(node.hex)
    found = []
    for (tenant, digest), version in versions.items():
        terms, sets = rules.of(version), decided.get(version.id, {})
        places = rules.places(version)
        found.append(
            WantedReplica(
                tenant,
                digest,
                held=frozenset(sets.get(Replica.Desired.HELD, ())) if places else None,
                absent=frozenset(sets.get(Replica.Desired.ABSENT, ())) if places else frozenset(),
                paused=frozenset(sets.get("paused", ())),
                priority=terms.priority,
                opens_in=terms.opens_in(now),
            )
        )
    return found


@dataclass(frozen=True)
class CopiesOfVersion:
    """How many copies of a version there are, by state; ``shortage`` says why there are too few, where there are."""

    digest: str
    wanted: int
    ready: int
    coming: int
    failed: int
    shortage: str


def policy_of(model: Model | None) -> ReplicationPolicy | None:
    """The model's own policy, or, without a model, that of the tenant in scope. Queries: 1."""
    return ReplicationPolicy.objects.filter(model=model).first()


def terms_of(policy: ReplicationPolicy | None) -> ReplicationTerms:
    return _PLAIN if policy is None else msgspec.convert(policy.terms, ReplicationTerms)


def copies_of(model: Model, policies: Iterable[ReplicationPolicy | None]) -> list[CopiesOfVersion]:
    """Of each version of the model that nodes are to have, the newest first. Queries: 2."""
    shortages = {digest: why for each in policies if each is not None for digest, why in each.shortages.items()}
    kept = Q(channels__model=model) | Q(releases__model=model, releases__stage__in=KEPT_ON_NODES)
    versions = Version.objects.filter(kept, source=Version.Source.HOSTED).distinct().order_by("-id")
    found = []
    for version in versions.prefetch_related("replicas"):
        rows = [row for row in version.replicas.all() if row.desired == Replica.Desired.HELD]
        counted = [row.state for row in rows]
        ready = counted.count(Replica.State.READY)
        failed = counted.count(Replica.State.FAILED)
        found.append(
            CopiesOfVersion(
                version.digest, len(rows), ready, len(rows) - ready - failed, failed, shortages.get(version.digest, "")
            )
        )
    return found
