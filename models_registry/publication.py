"""What the data plane is told of models: names and the blobs their versions need. Safe to repeat."""

from __future__ import annotations

import msgspec

from models_registry.models import Channel, Version
from ollamamax.bus import directory, shared
from ollamamax.identity.scope import every_tenant

MODELS = "models"
BLOBS = "blobs"


def channel_field(channel: Channel) -> str:
    return f"{channel.tenant_id.hex}/{channel.model.name}:{channel.name}"


def channel_entry(channel: Channel) -> bytes:
    """As `ollamamax.gateway.catalog.Listed`."""
    version = channel.version
    known = {name: version.details.get(name) for name in ("format", "family", "parameter_size", "quantization_level")}
    return msgspec.json.encode(
        {
            "version": version.digest,
            "size": version.size,
            "modified_at": channel.moved_at.timestamp(),
            "details": {
                **{name: value or "" for name, value in known.items()},
                "context_length": version.details.get("context_length"),
            },
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
    directory.publish(client, MODELS, {channel_field(channel): channel_entry(channel) for channel in channels})


def withdraw(field: str) -> None:
    """A name is gone."""
    directory.publish(shared.client(), MODELS, {field: None})


def announce_all() -> None:
    """Compare everything with Postgres and repair. Queries: 3 (again when somebody published meanwhile)."""
    client = shared.client()
    with every_tenant():
        directory.reconcile(client, BLOBS, _all_blobs)
        directory.reconcile(client, MODELS, _all_models)


def _all_blobs() -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    for version in Version.objects.filter(source=Version.Source.HOSTED).prefetch_related("blobs"):
        entries |= blob_entries(version)
    return entries


def _all_models() -> dict[str, bytes]:
    channels = Channel.objects.select_related("model", "version")
    return {channel_field(channel): channel_entry(channel) for channel in channels}
