"""Names of models: copied, so that two point at one version, and deleted; a version without a name goes with its last."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from models_registry import publication
from models_registry.actions.lock import lock_names, lock_replicas
from models_registry.actions.point import note_move, point_names
from models_registry.manifest import split_name
from models_registry.models import Channel, Release, Version
from models_registry.queries.model import find_channel_to_manage, require_to_name
from models_registry.queries.rollout import open_rollout_of
from ollamamax.audit.actions import record
from ollamamax.identity.actions.grant import forget_object
from ollamamax.identity.rights import require, require_somewhere
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import Principal


def copy_name(*, acting: Principal, source: str, destination: str) -> Channel:
    """Let ``destination`` point at the version of ``source``, wherever it pointed before. Safe to repeat.

    ``acting`` manages both models; a new one needs the permission in the whole tenant.
    Raises `Forbidden`, `ModelNotFound`, and `InvalidRequest` for a bad name.
    """
    tenant = require_somewhere(acting, "model.manage")
    model, name = split_name(destination)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        version = find_channel_to_manage(acting, source).version
        require_to_name(acting, model)
        [channel] = point_names(tenant, model, [name], version, by=acting, origin=Release.Origin.COPIED)
        record(
            acting=acting,
            action="model.copy",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"source": source, "destination": f"{model}:{name}"},
        )
        publication.publish_channels_on_commit([channel])
    return channel


def delete_name(*, acting: Principal, name: str) -> None:
    """Forget a name. A version that no name points at goes too: the loops take it off the nodes and free its blobs.

    Requests that run on it end first. Raises `Forbidden`, `ModelNotFound`, `InvalidRequest` for a bad name, and `Conflict` while a rollout moves it.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        lock_replicas()
        channel = find_channel_to_manage(acting, name)
        model, version = channel.model, channel.version
        if channel.protected:
            require(acting, "model.promote", reference("model", model.id))
        if open_rollout_of(channel) is not None:
            # It would go with all that it knows, and nobody would be told how it ended.
            raise Conflict(f"A rollout moves '{channel.name}': roll that back, or advance it.", param="name")
        publication.publish_channels_on_commit([channel])
        model_id, unheld = model.id, [version.pk]
        channel.delete()
        if model.channels.exists():
            note_move(model, channel.name, version.digest, "", by=acting)
        else:
            publication.publish_versions_on_commit(model.releases.select_related("model", "version"))
            unheld += model.releases.values_list("version_id", flat=True)
            forget_object("model", model.id)
            model.delete()
        # With it go the versions that were published under this name and that no name points at any more, and with the last name all of the model's,
        # unless they are kept for their stage or another model has them.
        unnamed = Version.objects.filter(Q(pk__in=unheld) | Q(manifest__name=f"{model.name}:{channel.name}"))
        kept = Release.objects.exclude(stage=Release.Stage.DRAFT, model_id=model_id)
        gone = [each.digest for each in unnamed.filter(channels=None).exclude(releases__in=kept)]
        leaving = Release.objects.filter(version__digest__in=gone).select_related("model", "version")
        publication.publish_versions_on_commit(leaving)
        Version.objects.filter(digest__in=gone).delete()
        record(
            acting=acting,
            action="model.delete",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"name": name, "versions_gone": gone},
        )
