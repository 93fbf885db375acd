"""Reads how much memory versions need by what their files say, and how much they took where they were loaded."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from cluster.models import Node
from cluster.placement.memory import (
    DEFAULT_CACHE,
    DEFAULT_CONTEXT,
    MemoryNeed,
    MemorySample,
    WeightsShape,
    corrections,
    need,
)
from models_registry.manifest import is_weights, layers_of
from models_registry.models import BlobShape, Channel, Replica, Version
from ollamamax.contract.profile import Profile

DEFAULT_SLOTS = 4
"""That a llama.cpp node has where its command line says nothing else (`ollamamax-node run --slots`)."""
_NOT_READ = WeightsShape(unknown="its file has not been read yet")
_KEPT_BY_ENGINE = WeightsShape(unknown="an engine keeps it, and its file is not here")
_NO_WEIGHTS = WeightsShape(unknown="it has no weights of one file")


@dataclass(frozen=True)
class MeasuredMemory:
    """What a version took on a node when it was loaded there, beside what is predicted for that context and those slots."""

    digest: str
    node: uuid.UUID
    node_name: str
    engine: str
    measured: int
    context: int
    slots: int | None
    at: datetime.datetime
    predicted: int | None
    """By the file alone, not corrected; ``None`` where it is not known."""

    @property
    def difference_percent(self) -> float | None:
        """By how much the prediction is above what was measured."""
        return None if self.predicted is None else round(100 * (self.predicted / self.measured - 1), 1)


@dataclass(frozen=True)
class KnownMemory:
    """All that is known of the memory of some versions: ``shapes`` by digest, ``factors`` by engine and architecture."""

    shapes: Mapping[str, WeightsShape] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    measured: Sequence[MeasuredMemory] = ()
    factors: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def factor(self, engine: str, digest: str) -> float:
        return self.factors.get((engine, self.shapes[digest].architecture), 1.0)

    def predicted(self, digest: str, context: int, slots: int) -> MemoryNeed | None:
        return need(self.shapes[digest], self.sizes[digest], context=context, slots=slots)

    def expected(self, engine: str, digest: str, context: int | None, slots: int) -> int | None:
        """Bytes that it will take: as much as it took with the same context and slots on that kind of engine, or else what is predicted, corrected.

        ``context``: ``None`` where the engine decides, which is as it was measured before. ``None`` where neither is known."""
        before = [
            each.measured
            for each in self.measured
            if (each.digest, each.engine) == (digest, engine)
            and context in (None, each.context)
            and each.slots in (None, slots)
        ]
        if before:
            return max(before)
        found = self.predicted(digest, context or DEFAULT_CONTEXT, slots)
        return None if found is None else round(found.total * self.factor(engine, digest))


@dataclass(frozen=True)
class MemoryOfVersion:
    """What one version needs with this context and these slots, on this kind of engine. ``unknown`` says why ``predicted`` is not known."""

    digest: str
    engine: str
    context: int
    slots: int
    cache: str
    architecture: str
    unknown: str
    predicted: MemoryNeed | None
    factor: float
    expected: int | None
    measured: Sequence[MeasuredMemory]


def known_memory(versions: Iterable[Version]) -> KnownMemory:
    """Of versions of one tenant, in its scope; the factors are of all versions that the tenant has. Queries: 3."""
    wanted = {version.id: version for version in versions}
    rows = Replica.objects.filter(memory__isnull=False).select_related("node", "version").order_by("memory_at", "pk")
    kept = [row for row in rows.defer("version__details", "version__created_at") if row.memory_context]
    every = {**{row.version_id: row.version for row in kept}, **wanted}
    shapes = _shapes(every.values())
    sizes = {version.digest: version.size for version in every.values()}
    measured = [_measured(row, shapes, sizes) for row in kept]
    factors = corrections(
        MemorySample(each.engine, shapes[each.digest].architecture, each.predicted, each.measured)
        for each in measured
        if each.predicted is not None
    )
    return KnownMemory(shapes, sizes, measured, factors)


def memory_of(channel: Channel, *, context: int | None, slots: int | None) -> MemoryOfVersion:
    """Of the version behind a name, as its profile has it loaded, or with another context and other slots. Queries: 3."""
    version, profile = channel.version, msgspec.convert(channel.model.profile, Profile)
    known = known_memory([version])
    engine = version.manifest.get("engine") or "llamacpp"
    context, slots = context or profile.num_ctx or DEFAULT_CONTEXT, slots or DEFAULT_SLOTS
    shape = known.shapes[version.digest]
    return MemoryOfVersion(
        version.digest,
        engine,
        context,
        slots,
        DEFAULT_CACHE,
        shape.architecture,
        shape.unknown,
        known.predicted(version.digest, context, slots),
        known.factor(engine, version.digest),
        known.expected(engine, version.digest, context, slots),
        [each for each in known.measured if each.digest == version.digest],
    )


def measured_on(node: Node) -> list[tuple[str, MeasuredMemory]]:
    """What versions took on a node when they were loaded there, each with a name of it where it has one. Queries: 4."""
    there = Version.objects.filter(replicas__node=node, replicas__memory__isnull=False)
    known = known_memory(there)
    named = Channel.objects.filter(version__in=there).select_related("model", "version").order_by("model__name", "name")
    names = {each.version.digest: f"{each.model.name}:{each.name}" for each in reversed(named)}
    return [(names.get(each.digest, ""), each) for each in known.measured if each.node == node.id]


def _shapes(versions: Collection[Version]) -> dict[str, WeightsShape]:
    """By digest of the version. Queries: 1."""
    weights = {version.digest: _weights(version) for version in versions}
    rows = BlobShape.objects.filter(blob__in={each for each in weights.values() if each}).values_list("blob", "shape")
    read = {blob: msgspec.convert(shape, WeightsShape) for blob, shape in rows}
    return {
        version.digest: _KEPT_BY_ENGINE
        if version.source == Version.Source.EXTERNAL
        else _NO_WEIGHTS
        if not weights[version.digest]
        else read.get(weights[version.digest], _NOT_READ)
        for version in versions
    }


def _weights(version: Version) -> str:
    """The digest of its one file with weights; empty where it has none, or several."""
    found = [layer.digest for layer in layers_of(version.manifest) if is_weights(layer.media_type)]
    return found[0] if len(found) == 1 else ""


def _measured(row: Replica, shapes: Mapping[str, WeightsShape], sizes: Mapping[str, int]) -> MeasuredMemory:
    digest, context, slots = row.version.digest, row.memory_context or 0, row.memory_slots
    predicted = None if slots is None else need(shapes[digest], sizes[digest], context=context, slots=slots)
    return MeasuredMemory(
        digest,
        row.node_id,
        row.node.name,
        row.memory_engine,
        row.memory or 0,
        context,
        slots,
        row.memory_at or row.changed_at,
        None if predicted is None else predicted.total,
    )
