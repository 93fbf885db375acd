"""Models that engines keep by themselves: those that no node reports are taken note of no longer, with their names."""

from __future__ import annotations

import datetime
import uuid

from django.db import models, transaction
from django.utils import timezone

from models_registry import publication
from models_registry.actions.lock import lock_names, lock_replicas
from models_registry.models import Channel, Model, Release, Version
from ollamamax.audit.actions import record
from ollamamax.identity.actions.grant import forget_object
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.principal import system

NEW = datetime.timedelta(minutes=1)
"""A version so young may have been registered before the row of its replica is there."""
MOST_AT_ONCE = 1000


def forget_unheld() -> int:
    """Forget external versions of which no node has, or had, a replica: their nodes were removed. Returns how many. Queries: 1."""
    with every_tenant():
        unheld = _unheld().filter(created_at__lt=timezone.now() - NEW)
        found: dict[uuid.UUID, list[uuid.UUID]] = {}
        for tenant, version in unheld.values_list("tenant_id", "id")[:MOST_AT_ONCE]:
            found.setdefault(tenant, []).append(version)
    for tenant, versions in found.items():
        _forget(tenant, versions)
    return sum(map(len, found.values()))


def _unheld() -> models.QuerySet[Version]:
    """Without those that people decided to keep: by a protected channel, or a stage beyond that in which they came."""
    kept = Release.objects.exclude(stage=Release.Stage.DRAFT)
    protected = Channel.objects.filter(protected=True)
    found = Version.objects.filter(source=Version.Source.EXTERNAL, replicas=None)
    return found.exclude(pk__in=protected.values("version")).exclude(pk__in=kept.values("version"))


def _forget(tenant: uuid.UUID, ids: list[uuid.UUID]) -> None:
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        lock_replicas()
        # A node may have come meanwhile that has it.
        versions = _unheld().filter(id__in=ids)
        held = list(versions.values_list("id", "digest"))
        channels = list(Channel.objects.filter(version_id__in=[id_ for id_, _ in held]).select_related("model"))
        publication.publish_channels_on_commit(channels)
        releases = Release.objects.filter(version_id__in=[id_ for id_, _ in held])
        publication.publish_versions_on_commit(releases.select_related("model", "version"))
        Channel.objects.filter(id__in=[channel.id for channel in channels]).delete()
        nameless = Model.objects.filter(id__in={channel.model_id for channel in channels}, channels=None)
        for model in nameless.exclude(pk__in=Release.objects.exclude(stage=Release.Stage.DRAFT).values("model")):
            forget_object("model", model.id)
            model.delete()
        Version.objects.filter(id__in=[id_ for id_, _ in held]).delete()
        record(
            acting=system("models_registry.reconcile_replicas", tenant.hex),
            action="version.forget",
            target_type="tenant",
            target_id=tenant,
            tenant=tenant,
            detail={"versions": len(held), "first": [digest for _, digest in held[:20]], "names": len(channels)},
        )
