"""What the data plane is told of models: names and the blobs their versions need. Safe to repeat."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import msgspec

from models_registry.models import Alias, Channel, Version
from ollamamax.bus import directory, shared
from ollamamax.identity.scope import every_tenant

MODELS = "models"
BLOBS = "blobs"
ALIASES = "aliases"


def channel_field(channel: Channel) -> str:
    return f"{channel.tenant_id.hex}/{channel.model.name}:{channel.name}"


def shared_field(channel: Channel) -> str:
    """Where every tenant finds the name, if it has none of its own."""
    return f"*/{channel.model.name}:{channel.name}"


def channel_fields(channel: Channel) -> list[str]:
    """Where the channel's entry belongs; under the shared name only while its model is shared."""
    return [channel_field(channel), *([shared_field(channel)] if channel.model.shared else [])]


def channel_entry(channel: Channel) -> bytes:
    """As `ollamamax.gateway.catalog.Listed`."""
    version, model = channel.version, channel.model
    texts = ("format", "family", "parameter_size", "quantization_level", "parent_model")
    known = {name: version.details.get(name) for name in texts}
    return msgspec.json.encode(
        {
            "version": version.digest,
            "size": version.size,
            "modified_at": channel.moved_at.timestamp(),
            "details": {
                **{name: value or "" for name, value in known.items()},
                "context_length": version.details.get("context_length"),
            },
            "profile": model.profile,
            "fallbacks": model.fallbacks,
        }
    )


def blob_entries(version: Version) -> dict[str, bytes]:
    """Which blobs the nodes of the version's tenant may fetch."""
    return {
        f"{version.tenant_id.hex}/{blob.digest}": msgspec.json.encode({"size": blob.size})
        for blob in version.blobs.all()
    }


def announce(channels: list[Channel]) -> None:
    client = shared.client()
    for channel in channels:
        directory.publish(client, BLOBS, dict(blob_entries(channel.version)))
    directory.publish(client, MODELS, _model_entries(channels))


def withdraw_shared(channels: list[Channel]) -> None:
    """Only for channels of the operator, whose names the shared ones are."""
    directory.publish(shared.client(), MODELS, {shared_field(channel): None for channel in channels})


def alias_field(alias: Alias) -> str:
    return f"{alias.tenant_id.hex}/{alias.name}"


def alias_entry(alias: Alias) -> bytes:
    """As `ollamamax.gateway.catalog.Alias`."""
    modified_at = alias.changed_at.timestamp()
    return msgspec.json.encode({"target": alias.target, "modified_at": modified_at, "fallbacks": alias.fallbacks})


def announce_aliases(ids: Iterable[uuid.UUID], gone: Iterable[str] = ()) -> None:
    """Tell what these aliases are now, and that the fields ``gone`` are no more. Reads again: the last to tell is right."""
    with every_tenant():
        held = {alias_field(alias): alias_entry(alias) for alias in Alias.objects.filter(pk__in=list(ids))}
    directory.publish(shared.client(), ALIASES, {**dict.fromkeys(gone), **held})


def withdraw(fields: Iterable[str]) -> None:
    """A name is gone, with all its `channel_fields`."""
    directory.publish(shared.client(), MODELS, dict.fromkeys(fields))


def announce_all() -> None:
    """Compare everything with Postgres and repair. Queries: 4 (again when somebody published meanwhile)."""
    client = shared.client()
    with every_tenant():
        directory.reconcile(client, BLOBS, _all_blobs)
        directory.reconcile(client, MODELS, _all_models)
        directory.reconcile(client, ALIASES, _all_aliases)


def _all_blobs() -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    for version in Version.objects.filter(source=Version.Source.HOSTED).prefetch_related("blobs"):
        entries |= blob_entries(version)
    return entries


def _all_models() -> dict[str, bytes]:
    return _model_entries(Channel.objects.select_related("model", "version"))


def _model_entries(channels: Iterable[Channel]) -> dict[str, bytes]:
    return {field: channel_entry(channel) for channel in channels for field in channel_fields(channel)}


def _all_aliases() -> dict[str, bytes]:
    return {alias_field(alias): alias_entry(alias) for alias in Alias.objects.all()}
