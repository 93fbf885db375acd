"""Models that engines keep by themselves: those that no node reports are taken note of no longer, with their names."""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from django.utils import timezone

from models_registry import publication
from models_registry.actions.lock import lock_names, lock_replicas
from models_registry.models import Channel, Model, Version
from ollamamax.audit.actions import record
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.principal import system

NEW = datetime.timedelta(minutes=1)
"""A version so young may have been registered before the row of its replica is there."""
MOST_AT_ONCE = 1000


def forget_unheld() -> int:
    """Forget external versions of which no node has, or had, a replica: their nodes were removed. Returns how many. Queries: 1."""
    with every_tenant():
        unheld = Version.objects.filter(
            source=Version.Source.EXTERNAL, replicas=None, created_at__lt=timezone.now() - NEW
        )
        found: dict[uuid.UUID, list[uuid.UUID]] = {}
        for tenant, version in unheld.values_list("tenant_id", "id")[:MOST_AT_ONCE]:
            found.setdefault(tenant, []).append(version)
    for tenant, versions in found.items():
        _forget(tenant, versions)
    return sum(map(len, found.values()))


def _forget(tenant: uuid.UUID, ids: list[uuid.UUID]) -> None:
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        lock_replicas()
        # A node may have come meanwhile that has it.
        versions = Version.objects.filter(id__in=ids, replicas=None)
        held = list(versions.values_list("id", "digest"))
        channels = list(Channel.objects.filter(version_id__in=[id_ for id_, _ in held]).select_related("model"))
        publication.publish_channels_on_commit(channels)
        Channel.objects.filter(id__in=[channel.id for channel in channels]).delete()
        Model.objects.filter(id__in={channel.model_id for channel in channels}, channels=None).delete()
        Version.objects.filter(id__in=[id_ for id_, _ in held]).delete()
        record(
            acting=system("models_registry.reconcile_replicas", tenant.hex),
            action="version.forget",
            target_type="tenant",
            target_id=tenant,
            tenant=tenant,
            detail={"versions": len(held), "first": [digest for _, digest in held[:20]], "names": len(channels)},
        )
