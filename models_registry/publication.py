"""What the data plane is told of models: names and the blobs their versions need. Safe to repeat."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from django.db.models import Q

from models_registry.models import Alias, Channel, Version
from ollamamax import logs
from ollamamax.bus import publication
from ollamamax.bus.publication import Fields
from ollamamax.contract import tables
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import Details, Fallback, Listed, ListedAlias, PublishedBlob
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import every_tenant

_log = logs.get(__name__)


def channel_field(channel: Channel) -> str:
    return tables.model_field(channel.tenant_id.hex, f"{channel.model.name}:{channel.name}")


def shared_field(channel: Channel) -> str:
    """Where every tenant finds the name, if it has none of its own."""
    return tables.shared_field(f"{channel.model.name}:{channel.name}")


def channel_fields(channel: Channel) -> list[str]:
    """Where the channel's entry belongs; under the shared name only while its model is shared."""
    return [channel_field(channel), *([shared_field(channel)] if channel.model.shared else [])]


def channel_entry(channel: Channel) -> Listed:
    """Raises `msgspec.ValidationError` for a row whose profile or fallbacks are none."""
    version, model = channel.version, channel.model
    known = version.details
    return Listed(
        version=version.digest,
        size=version.size,
        modified_at=channel.moved_at.timestamp(),
        details=Details(
            format=known.get("format") or "",
            family=known.get("family") or "",
            parameter_size=known.get("parameter_size") or "",
            quantization_level=known.get("quantization_level") or "",
            context_length=known.get("context_length"),
            parent_model=known.get("parent_model") or "",
        ),
        profile=msgspec.convert(model.profile, Profile),
        fallbacks=msgspec.convert(model.fallbacks, tuple[Fallback, ...]),
        model=reference("model", model.id),
        owner=channel.tenant_id.hex,
        engine=version.manifest.get("engine", "") if version.source == Version.Source.EXTERNAL else "",
    )


def models(fields: Fields = None) -> dict[str, Listed]:
    """The names of models. One query."""
    with every_tenant():
        found = Channel.objects.select_related("model", "version")
        if fields is not None:
            found = found.filter(_named(fields, "model__name", "name"))
        entries: dict[str, Listed] = {}
        for channel in found:
            try:
                entry = channel_entry(channel)
            except msgspec.ValidationError as error:
                _log.error("model_not_published", channel=channel.pk.hex, error=str(error))
                continue
            entries.update(dict.fromkeys(channel_fields(channel), entry))
        return entries


def blobs(fields: Fields = None) -> dict[str, PublishedBlob]:
    """The blobs that a tenant's nodes may fetch: those of its versions. 2 queries."""
    with every_tenant():
        found = Version.objects.filter(source=Version.Source.HOSTED).prefetch_related("blobs")
        if fields is not None:
            found = found.filter(blobs__digest__in={field.partition("/")[2] for field in fields}).distinct()
        return {
            tables.blob_field(version.tenant_id.hex, blob.digest): PublishedBlob(blob.size)
            for version in found
            for blob in version.blobs.all()
        }


def aliases(fields: Fields = None) -> dict[str, ListedAlias]:
    """One query."""
    with every_tenant():
        found = Alias.objects.all()
        if fields is not None:
            found = found.filter(name__in={field.partition("/")[2] for field in fields})
        return {
            alias_field(alias): ListedAlias(
                target=alias.target,
                modified_at=alias.changed_at.timestamp(),
                fallbacks=msgspec.convert(alias.fallbacks, tuple[Fallback, ...]),
            )
            for alias in found
        }


def alias_field(alias: Alias) -> str:
    return tables.model_field(alias.tenant_id.hex, alias.name)


publication.answers(tables.BLOBS, blobs)
publication.answers(tables.MODELS, models)
publication.answers(tables.ALIASES, aliases)


def publish_channels_on_commit(channels: Iterable[Channel]) -> None:
    """After the commit, tell all gateways what these names stand for now, if anything, and nodes which blobs they may fetch for that.

    Blobs are told before the names that need them. Queries.
    """
    told = list(channels)
    versions = Version.objects.filter(pk__in={channel.version_id for channel in told}).prefetch_related("blobs")
    publish_blobs_on_commit(versions)
    fields = [field for channel in told for field in (channel_field(channel), shared_field(channel))]
    publication.publish_on_commit(tables.MODELS, fields)


def publish_blobs_on_commit(versions: Iterable[Version]) -> None:
    """After the commit, tell nodes that they may fetch the blobs of these versions. Queries."""
    blobs = [tables.blob_field(each.tenant_id.hex, blob.digest) for each in versions for blob in each.blobs.all()]
    publication.publish_on_commit(tables.BLOBS, blobs)


def publish_alias_on_commit(alias: Alias) -> None:
    """After the commit, tell all gateways what has become of the alias."""
    publication.publish_on_commit(tables.ALIASES, [alias_field(alias)])


def _named(fields: Collection[str], model: str, name: str) -> Q:
    """Channels that may have one of these fields; others of their names may be among them."""
    full = [field.partition("/")[2].rpartition(":") for field in fields]
    return Q((f"{model}__in", {each[0] for each in full}), (f"{name}__in", {each[2] for each in full}))
