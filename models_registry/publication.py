"""What the data plane is told of models: names and the blobs their versions need. Safe to repeat."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable

import msgspec
from django.db.models import Q

from models_registry.lifecycle import ReleaseStage
from models_registry.models import Alias, Channel, Model, Release, Rollout, Version
from models_registry.queries.replication import rules_of
from models_registry.rollout.plan import ANSWERING
from models_registry.rollout.steps import RolloutStep
from ollamamax import logs
from ollamamax.bus import publication
from ollamamax.bus.publication import Fields
from ollamamax.contract import tables
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import Details, Fallback, Listed, ListedAlias, PublishedBlob, Trial
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


def version_fields(release: Release) -> list[str]:
    """Where one version of a model is found by its digest, ``name@sha256:...``; shared as the model is."""
    name = f"{release.model.name}@{release.version.digest}"
    return [
        tables.model_field(release.tenant_id.hex, name),
        *([tables.shared_field(name)] if release.model.shared else []),
    ]


def entry_of(model: Model, version: Version, since: datetime.datetime, stage: str) -> Listed:
    """Raises `msgspec.ValidationError` for a row whose profile or fallbacks are none."""
    known = version.details
    return Listed(
        version=version.digest,
        size=version.size,
        modified_at=since.timestamp(),
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
        owner=model.tenant_id.hex,
        engine=version.manifest.get("engine", "") if version.source == Version.Source.EXTERNAL else "",
        deprecated=stage == ReleaseStage.DEPRECATED,
    )


def models(fields: Fields = None) -> dict[str, Listed]:
    """The names of models, and their versions by digest but for archived ones; artefacts, which nobody serves, have none. Two queries."""
    with every_tenant():
        channels = Channel.objects.exclude(version__source=Version.Source.ARTIFACT).select_related("model", "version")
        releases = Release.objects.exclude(version__source=Version.Source.ARTIFACT).select_related("model", "version")
        if fields is not None:
            channels = channels.filter(_named(fields, "model__name", "name"))
            releases = releases.filter(model__name__in=_models_of(fields))
        entries: dict[str, Listed] = {}
        stages: dict[tuple[uuid.UUID, uuid.UUID], str] = {}
        for release in releases:
            stages[release.model_id, release.version_id] = release.stage
            if release.stage != ReleaseStage.ARCHIVED:
                _enter(
                    entries, version_fields(release), release.model, release.version, release.created_at, release.stage
                )
        trials = trials_of(channels)
        for channel in channels:
            stage = stages.get((channel.model_id, channel.version_id), "")
            trial = trials.get(channel.pk)
            _enter(entries, channel_fields(channel), channel.model, channel.version, channel.moved_at, stage, trial)
        return entries


def trials_of(channels: Iterable[Channel]) -> dict[uuid.UUID, Trial]:
    """By channel, what share of requests has another version, of those that point where their rollout began. One query."""
    points_at = {channel.pk: channel for channel in channels}
    found = {}
    for rollout in Rollout.objects.filter(channel_id__in=list(points_at), state__in=ANSWERING):
        channel = points_at[rollout.channel_id]
        if rollout.from_version == channel.version.digest:
            step = msgspec.convert(rollout.steps, list[RolloutStep])[rollout.progress["step"]]
            other = f"{channel.model.name}@{rollout.to_version}"
            if step.shadow:
                found[channel.pk] = Trial(rollout.pk.hex, 0.0, other, step.share)
            else:
                found[channel.pk] = Trial(rollout.pk.hex, step.share, other)
    return found


def _enter(
    entries: dict[str, Listed],
    fields: list[str],
    model: Model,
    version: Version,
    since: datetime.datetime,
    stage: str,
    trial: Trial | None = None,
) -> None:
    try:
        entry = msgspec.structs.replace(entry_of(model, version, since, stage), trial=trial)
    except msgspec.ValidationError as error:
        _log.error("model_not_published", model=model.pk.hex, error=str(error))
        return
    entries.update(dict.fromkeys(fields, entry))


def blobs(fields: Fields = None) -> dict[str, PublishedBlob]:
    """The blobs that a tenant's nodes may fetch: those of its versions; and how fast. 3 queries, and 2 more where tenants have terms."""
    with every_tenant():
        found = Version.objects.filter(source=Version.Source.HOSTED).prefetch_related("blobs")
        if fields is not None:
            found = found.filter(blobs__digest__in={field.partition("/")[2] for field in fields}).distinct()
        versions = list(found)
        rules = rules_of({version.tenant_id for version in versions})
        entries: dict[str, PublishedBlob] = {}
        for version in versions:
            rate = rules.of(version).bytes_per_second
            for blob in version.blobs.all():
                field = tables.blob_field(version.tenant_id.hex, blob.digest)
                known = entries.get(field)
                rates = [each for each in (rate, known.rate if known else None) if each is not None]
                of_region = rules.of_tenant(version.tenant_id).region_bytes_per_second
                entries[field] = PublishedBlob(blob.size, min(rates, default=None), of_region)
        return entries


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
    publish_versions_on_commit(
        Release.objects.filter(model_id__in={channel.model_id for channel in told}).select_related("model", "version")
    )


def publish_versions_on_commit(releases: Iterable[Release]) -> None:
    """After the commit, tell all gateways what has become of these versions, by digest. Queries."""
    names = [(each.tenant_id.hex, f"{each.model.name}@{each.version.digest}") for each in releases]
    fields = [
        field for tenant, name in names for field in (tables.model_field(tenant, name), tables.shared_field(name))
    ]
    publication.publish_on_commit(tables.MODELS, fields)


def publish_blobs_on_commit(versions: Iterable[Version]) -> None:
    """After the commit, tell nodes that they may fetch the blobs of these versions. Queries."""
    blobs = [tables.blob_field(each.tenant_id.hex, blob.digest) for each in versions for blob in each.blobs.all()]
    publication.publish_on_commit(tables.BLOBS, blobs)


def publish_alias_on_commit(alias: Alias) -> None:
    """After the commit, tell all gateways what has become of the alias."""
    publication.publish_on_commit(tables.ALIASES, [alias_field(alias)])


def _models_of(fields: Collection[str]) -> set[str]:
    """The names of models that have one of these fields, before the colon or before the digest."""
    return {field.partition("/")[2].rpartition(":")[0].removesuffix("@sha256") for field in fields}


def _named(fields: Collection[str], model: str, name: str) -> Q:
    """Channels that may have one of these fields; others of their names may be among them."""
    full = [field.partition("/")[2].rpartition(":") for field in fields]
    return Q((f"{model}__in", {each[0] for each in full}), (f"{name}__in", {each[2] for each in full}))
