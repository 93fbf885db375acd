"""What people decide about copies: the terms of a model or of a whole tenant, and transfers that they stop and let go on."""

from __future__ import annotations

import uuid

import msgspec
from celery import current_app
from django.db import transaction
from django.utils import timezone

from models_registry.actions.lock import lock_names, lock_replicas
from models_registry.models import Model, Replica, ReplicationPolicy, Version
from models_registry.publication import publish_blobs_on_commit
from models_registry.queries.model import get_channel
from models_registry.queries.replication import policy_of, terms_of
from models_registry.replication.terms import ReplicationTerms, objection
from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.identity.rights import require, require_in_tenant, require_somewhere
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

_ASKED_SECONDS = 60


def set_terms(*, acting: Principal, channel_id: uuid.UUID | None, terms: ReplicationTerms | None) -> None:
    """Give the model that has this channel terms of its own, or, with ``None``, those of the tenant. Without a channel they are the tenant's terms.

    What is so already stays. Raises `NotFound`, `Forbidden`, and `InvalidRequest` for terms that contradict themselves.
    """
    tenant = (require_in_tenant if channel_id is None else require_somewhere)(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        model = None if channel_id is None else get_channel(acting, channel_id).model
        if model is not None:
            require(acting, "model.manage", reference("model", model.id))
        if terms is not None and (refused := objection(terms, of_tenant=model is None)) is not None:
            raise InvalidRequest(refused[1], param=refused[0])
        held = policy_of(model)
        before = None if held is None and model is not None else terms_of(held)
        if before == terms:
            return
        _write(tenant, model, terms)
        record(
            acting=acting,
            action="tenant.replicate" if model is None else "model.replicate",
            target_type="tenant" if model is None else "model",
            target_id=tenant if model is None else model.id,
            tenant=tenant,
            detail={
                "name": "" if model is None else model.name,
                "before": msgspec.to_builtins(before),
                "after": msgspec.to_builtins(terms),
            },
        )


def _write(tenant: uuid.UUID, model: Model | None, terms: ReplicationTerms | None) -> None:
    now = timezone.now()
    if terms is None:
        ReplicationPolicy.objects.filter(model=model).delete()
    else:
        ReplicationPolicy.objects.update_or_create(
            tenant_id=tenant,
            model=model,
            defaults={"terms": msgspec.to_builtins(terms), "shortages": {}, "changed_at": now, "planned_at": now},
        )
    hosted = Version.objects.filter(source=Version.Source.HOSTED)
    publish_blobs_on_commit(
        (hosted if model is None else hosted.filter(releases__model=model)).distinct().prefetch_related("blobs")
    )


def pause_transfer(*, acting: Principal, channel_id: uuid.UUID, node_id: uuid.UUID, paused: bool) -> Replica:
    """Stop bringing the channel's version to a node, or let it go on; what came so far stays there. Repeated, nothing happens.

    Raises `NotFound` where the node is to have no copy, and `Forbidden`.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        channel = get_channel(acting, channel_id)
        require(acting, "model.manage", reference("model", channel.model_id))
        lock_replicas()
        found = Replica.objects.select_for_update(of=("self",)).select_related("node").filter(version=channel.version)
        replica = found.filter(node_id=node_id).first()
        if replica is None:
            raise NotFound("There is no such replica.")
        if replica.paused == paused:
            return replica
        replica.paused, replica.changed_at = paused, timezone.now()
        replica.save(update_fields=["paused", "changed_at"])
        note_plan(tenant)
        record(
            acting=acting,
            action="replica.pause" if paused else "replica.resume",
            target_type="node",
            target_id=node_id,
            tenant=tenant,
            detail={"node": replica.node.name, "model": channel.model.name, "version": channel.version.digest},
        )
        digest = channel.version.digest
        transaction.on_commit(lambda: (_stop if paused else _forgive)(node_id.hex, digest), robust=True)
    return replica


def note_plan(tenant: uuid.UUID) -> None:
    """What nodes are to have has changed: the loop that asks them looks at them again. A tenant without terms gets the usual ones, to note it."""
    now = timezone.now()
    if not ReplicationPolicy.objects.filter(tenant_id=tenant).update(planned_at=now):
        ReplicationPolicy.objects.create(tenant_id=tenant, planned_at=now)


def _forgive(node: str, version: str) -> None:
    """Whoever lets it go on does not wait for what failed before."""
    regions.own().client.delete(keys.fetch_asked(node, version), keys.fetch_failed(node, version))


def _stop(node: str, version: str) -> None:
    current_app.send_task(
        "models_registry.stop_fetch",
        kwargs={"version": version},
        queue=keys.node_queue(node),
        expires=_ASKED_SECONDS,
    )
