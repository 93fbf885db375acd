"""What the data plane is told of models: names and the blobs their versions need. Safe to repeat."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import msgspec

from models_registry.models import Alias, Channel, Version
from ollamamax import logs
from ollamamax.bus import directory, shared
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
    )


def blob_entries(version: Version) -> dict[str, bytes]:
    """Which blobs the nodes of the version's tenant may fetch."""
    return {
        tables.blob_field(version.tenant_id.hex, blob.digest): tables.BLOBS.encode(PublishedBlob(blob.size))
        for blob in version.blobs.all()
    }


def announce(channels: list[Channel]) -> None:
    client = shared.client()
    for channel in channels:
        directory.publish(client, tables.BLOBS.name, dict(blob_entries(channel.version)))
    directory.publish(client, tables.MODELS.name, _model_entries(channels))


def withdraw_shared(channels: list[Channel]) -> None:
    """Only for channels of the operator, whose names the shared ones are."""
    directory.publish(shared.client(), tables.MODELS.name, {shared_field(channel): None for channel in channels})


def alias_field(alias: Alias) -> str:
    return tables.model_field(alias.tenant_id.hex, alias.name)


def alias_entry(alias: Alias) -> bytes:
    fallbacks = msgspec.convert(alias.fallbacks, tuple[Fallback, ...])
    return tables.ALIASES.encode(ListedAlias(alias.target, alias.changed_at.timestamp(), fallbacks))


def announce_aliases(ids: Iterable[uuid.UUID], gone: Iterable[str] = ()) -> None:
    """Tell what these aliases are now, and that the fields ``gone`` are no more. Reads again: the last to tell is right."""
    with every_tenant():
        held = {alias_field(alias): alias_entry(alias) for alias in Alias.objects.filter(pk__in=list(ids))}
    directory.publish(shared.client(), tables.ALIASES.name, {**dict.fromkeys(gone), **held})


def withdraw(fields: Iterable[str]) -> None:
    """A name is gone, with all its `channel_fields`."""
    directory.publish(shared.client(), tables.MODELS.name, dict.fromkeys(fields))


def announce_all() -> None:
    """Compare everything with Postgres and repair. Queries: 4 (again when somebody published meanwhile)."""
    client = shared.client()
    with every_tenant():
        directory.reconcile(client, tables.BLOBS.name, _all_blobs)
        directory.reconcile(client, tables.MODELS.name, _all_models)
        directory.reconcile(client, tables.ALIASES.name, _all_aliases)


def _all_blobs() -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    for version in Version.objects.filter(source=Version.Source.HOSTED).prefetch_related("blobs"):
        entries |= blob_entries(version)
    return entries


def _all_models() -> dict[str, bytes]:
    return _model_entries(Channel.objects.select_related("model", "version"))


def _model_entries(channels: Iterable[Channel]) -> dict[str, bytes]:
    found = {}
    for channel in channels:
        try:
            entry = tables.MODELS.encode(channel_entry(channel))
        except msgspec.ValidationError as error:
            _log.error("model_not_published", channel=channel.pk, error=str(error))
            continue
        found.update(dict.fromkeys(channel_fields(channel), entry))
    return found


def _all_aliases() -> dict[str, bytes]:
    return {alias_field(alias): alias_entry(alias) for alias in Alias.objects.all()}
