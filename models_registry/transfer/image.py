"""A model as registries describe it: the manifest of an image, read and checked. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.engines.recipe import PARAMETERS
from cluster.engines.template import try_out
from cluster.engines.template_syntax import TemplateProblem
from models_registry import manifest as manifests
from models_registry.blob_keys import DIGEST
from models_registry.manifest import Layer
from models_registry.transfer.session import RegistryFailed
from ollamamax.kernel.errors import TooLarge, Unsupported

MOST_LAYERS = 64


class _Descriptor(msgspec.Struct):
    digest: str
    size: int
    media_type: str = msgspec.field(default="", name="mediaType")


class _Image(msgspec.Struct):
    layers: list[_Descriptor]
    config: _Descriptor | None = None


def read_image(data: bytes, most: int) -> tuple[list[Layer], Layer | None]:
    """Layers and config. Raises `RegistryFailed`, `TooLarge`, and `Unsupported` for what holds no GGUF weights."""
    try:
        image = msgspec.json.decode(data, type=_Image)
    except msgspec.DecodeError as error:
        raise RegistryFailed(f"The registry's manifest cannot be read: {error}.") from None
    layers = [_layer(each, most) for each in image.layers]
    weights = [layer for layer in layers if manifests.is_weights(layer.media_type)]
    if len(weights) != 1 or len(layers) > MOST_LAYERS:
        raise Unsupported(
            f"The llamacpp engine here runs models of one GGUF file; this one has {len(weights)} in {len(layers)} layers.",
            param="model",
        )
    for layer in layers:
        if layer.media_type in manifests.TEXTS and layer.size > manifests.MOST_TEXT:
            raise TooLarge(f"A text of this model is longer than {manifests.MOST_TEXT} bytes.")
    config = image.config
    return layers, _layer(config, manifests.MOST_TEXT) if config and config.size else None


def _layer(given: _Descriptor, most: int) -> Layer:
    if not DIGEST.fullmatch(given.digest) or given.size < 0:
        raise RegistryFailed("The registry's manifest names a blob that cannot be.")
    if given.size > most:
        raise TooLarge(f"A blob of this model has {given.size} bytes; this server takes at most {most}.", limit=most)
    return Layer(given.digest, given.size, given.media_type)


def remarks(media_types: set[str], template: str, parameters: dict[str, Any]) -> list[str]:
    """What of a model the engines here will not use, for whoever pulls it."""
    found = []
    if manifests.PROJECTOR in media_types:
        found.append("the llamacpp engine here does not use the projector: this model will not see images")
    try:
        try_out(template)
    except TemplateProblem as error:
        found.append(f"the llamacpp engine here uses the template in the GGUF file instead: {error.message}")
    if unknown := sorted(set(parameters) - set(PARAMETERS)):
        found.append(f"the llamacpp engine here does not know these parameters: {', '.join(unknown)}")
    return found
