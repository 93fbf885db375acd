"""Manifests as clients push them: images, indexes and artefacts, read and checked; and the index that tells who refers to one. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from models_registry import manifest as manifests
from models_registry.distribution.faults import manifest_invalid
from models_registry.distribution.names import checked_digest
from models_registry.manifest import Layer

MOST_BYTES = 4 << 20
_MOST_ENTRIES = 10_000
MOST_ANNOTATIONS = 64 << 10
"""Bytes of those of a manifest, which are told besides it to whoever asks what refers to another one."""
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGES = frozenset({manifests.IMAGE, manifests.OCI_IMAGE})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})


class _Descriptor(msgspec.Struct):
    digest: str
    size: int
    media_type: str = msgspec.field(default="", name="mediaType")
    urls: list[str] = []

    def layer(self) -> Layer:
        if self.size < 0:
            raise manifest_invalid("The manifest names a blob of less than no bytes.")
        return Layer(checked_digest(self.digest), self.size, self.media_type)


class _Body(msgspec.Struct):
    schema: int = msgspec.field(default=0, name="schemaVersion")
    media_type: str = msgspec.field(default="", name="mediaType")
    artifact_type: str = msgspec.field(default="", name="artifactType")
    config: _Descriptor | None = None
    layers: list[_Descriptor] = []
    manifests: list[_Descriptor] = []
    subject: _Descriptor | None = None
    annotations: dict[str, str] = {}


@dataclass(frozen=True)
class PushedImage:
    """``blobs`` are its layers, in order; ``children`` the manifests that an index lists. ``subject``: the digest that it refers to, or empty."""

    body: bytes
    digest: str
    media_type: str
    artifact_type: str
    config: Layer | None
    blobs: tuple[Layer, ...]
    children: tuple[Layer, ...]
    subject: str
    annotations: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of all that it is made of; those of an index's images are counted there."""
        return sum(each.size for each in self.blobs) + (self.config.size if self.config else 0)

    @property
    def weights(self) -> Layer | None:
        """The one GGUF file of a model; ``None`` for what no engine here can run."""
        found = [each for each in self.blobs if manifests.is_weights(each.media_type)]
        return found[0] if len(found) == 1 else None

    @property
    def needed(self) -> dict[str, int]:
        """Sizes by digest of the blobs that must be there."""
        return {each.digest: each.size for each in (*self.blobs, *([self.config] if self.config else []))}


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def read(body: bytes, content_type: str) -> PushedImage:
    """Raises `RegistryFault` for what is no manifest, or is of another type than the request says."""
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise manifest_invalid(f"The manifest cannot be read: {error}.") from None
    if any("\0" in text for text in _texts(found)):
        raise manifest_invalid("A manifest has no NUL in its texts.")
    if found.schema != 2:
        raise manifest_invalid("A manifest's schemaVersion is 2.")
    said = content_type.partition(";")[0].strip().lower()
    media_type = found.media_type or said
    if said and found.media_type and said != found.media_type:
        raise manifest_invalid(f"The request says that it is {said}, and the manifest that it is {found.media_type}.")
    if media_type not in IMAGES | INDEXES:
        raise manifest_invalid(f"'{media_type[:100]}' is not a media type of manifests that is taken here.")
    is_index = media_type in INDEXES
    if is_index == (found.config is not None) or (is_index and found.layers) or (not is_index and found.manifests):
        raise manifest_invalid("An image has a config and layers, and an index has manifests.")
    if max(len(found.layers), len(found.manifests)) > _MOST_ENTRIES:
        raise manifest_invalid(f"A manifest has at most {_MOST_ENTRIES} entries.")
    if len(msgspec.json.encode(found.annotations)) > MOST_ANNOTATIONS:
        raise manifest_invalid(f"The annotations of a manifest have at most {MOST_ANNOTATIONS} bytes.")
    config = found.config.layer() if found.config else None
    return PushedImage(
        body=body,
        digest=digest_of(body),
        media_type=media_type,
        artifact_type=(found.artifact_type or (config.media_type if config else ""))[:200],
        config=config,
        blobs=tuple(each.layer() for each in found.layers if not each.urls),
        children=tuple(each.layer() for each in found.manifests),
        subject=found.subject.layer().digest if found.subject else "",
        annotations=found.annotations,
    )


def _texts(found: _Body) -> Iterator[str]:
    """All that is kept in the database as text."""
    yield from (found.media_type, found.artifact_type, *found.annotations, *found.annotations.values())
    descriptors = (found.config, found.subject, *found.layers, *found.manifests)
    yield from (each.media_type for each in descriptors if each is not None)


@dataclass(frozen=True)
class Referrer:
    digest: str
    size: int
    media_type: str
    artifact_type: str
    annotations: dict[str, str]


def referrers(found: Iterable[Referrer]) -> bytes:
    """An index of those that refer to a manifest."""
    entries: list[dict[str, Any]] = [
        {
            "mediaType": each.media_type,
            "digest": each.digest,
            "size": each.size,
            **({"artifactType": each.artifact_type} if each.artifact_type else {}),
            **({"annotations": each.annotations} if each.annotations else {}),
        }
        for each in found
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
