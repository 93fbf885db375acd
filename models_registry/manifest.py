"""Manifests: the one canonical text of a version, whose sha256 is its name. Pure.

A layer's media type is Ollama's own, so that a version can be pushed to a registry as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ollamamax.kernel import errors

_IMAGE = "application/vnd.ollama.image."
GGUF = f"{_IMAGE}model"
OLD_GGUF = "application/vnd.ollamamax.model.gguf"
"""What versions that were published before there were other layers call their weights."""
PROJECTOR = f"{_IMAGE}projector"
ADAPTER = f"{_IMAGE}adapter"
TEMPLATE = f"{_IMAGE}template"
SYSTEM = f"{_IMAGE}system"
PARAMS = f"{_IMAGE}params"
MESSAGES = f"{_IMAGE}messages"
LICENSE = f"{_IMAGE}license"
IMAGE_CONFIG = "application/vnd.docker.container.image.v1+json"
IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
TEXTS = frozenset({TEMPLATE, SYSTEM, PARAMS, MESSAGES, LICENSE})
"""Layers that are small texts."""
MOST_TEXT = 4 << 20
"""Bytes of such a layer."""

_NAME = re.compile(
    r"(/?[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,99}:[0-9]{1,5}/)?[A-Za-z0-9._/@+-]{0,199})(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
)


@dataclass(frozen=True, slots=True)
class Layer:
    digest: str
    size: int
    media_type: str

    def as_dict(self) -> dict[str, Any]:
        return {"digest": self.digest, "size": self.size, "media_type": self.media_type}


def hosted(name: str, config: dict[str, Any], digest: str, size: int) -> dict[str, Any]:
    """The manifest of weights that lie in one GGUF blob."""
    return of_layers(name, config, [Layer(digest, size, GGUF)])


def of_layers(
    name: str, config: dict[str, Any], layers: Iterable[Layer], image_config: Layer | None = None
) -> dict[str, Any]:
    """``config`` is what the weights' header says; ``image_config`` the blob that registries keep beside the layers."""
    manifest = {"schema": 1, "name": name, "config": config, "layers": [layer.as_dict() for layer in layers]}
    return manifest | ({"image_config": image_config.as_dict()} if image_config else {})


def layers_of(manifest: dict[str, Any]) -> list[Layer]:
    return [Layer(each["digest"], each["size"], each["media_type"]) for each in manifest.get("layers", [])]


def image_config_of(manifest: dict[str, Any]) -> Layer | None:
    found = manifest.get("image_config")
    return Layer(found["digest"], found["size"], found["media_type"]) if found else None


def is_weights(media_type: str) -> bool:
    return media_type in {GGUF, OLD_GGUF}


def image(manifest: dict[str, Any], image_config: Layer, media_type: str = IMAGE) -> bytes:
    """The manifest as registries keep it: Ollama's want ``IMAGE``, programs for image layouts ``OCI_IMAGE``."""

    def descriptor(layer: Layer) -> dict[str, Any]:
        media_type = GGUF if is_weights(layer.media_type) else layer.media_type
        return {"mediaType": media_type, "digest": layer.digest, "size": layer.size}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(image_config),
            "layers": [descriptor(layer) for layer in layers_of(manifest)],
        },
        separators=(",", ":"),
    ).encode()


def digest_of(manifest: dict[str, Any]) -> str:
    """``sha256:`` of the canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def split_name(full: str) -> tuple[str, str]:
    """Model and channel of ``name`` or ``name:tag``; the tag is ``latest`` when none is given.

    A name may begin with a registry's host and port, as in ``host:5000/namespace/model``, and that of an engine's own model with a
    slash: servers call a model by the folder that it lies in.
    """
    found = _NAME.fullmatch(full)
    if found is None or len(found[1]) > 200:
        raise errors.InvalidRequest(
            f"'{full[:300]}' is not a model name: letters, digits and . _ / @ + -, then perhaps a colon and a tag.",
            param="name",
        )
    return found[1], found[2] or "latest"
