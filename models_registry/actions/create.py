"""Makes a model of blobs or of another model, with what is added to its weights."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from models_registry import manifest as manifests
from models_registry import recipe
from models_registry.actions.blob import blob_store, header_of_blob, kind_of_blob, put_bytes
from models_registry.actions.version import make_version
from models_registry.blob_keys import blob_key
from models_registry.manifest import Layer
from models_registry.models import Blob, Version
from models_registry.queries.blob import find_blob
from models_registry.queries.model import find_channel
from ollamamax.blobs.reading import read_bytes
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, Unsupported
from ollamamax.kernel.principal import Principal

Tell = Callable[[str], None]
_SHORT = len("sha256:") + 12


def create_model(*, acting: Principal, wanted: dict[str, Any], tell: Tell) -> Version:
    """Make the version of what `recipe.checked` made of a request, and point no name at it yet; ``tell`` is told each step. Safe to run again.

    Raises `ModelNotFound` for a model that is not the tenant's, `InvalidRequest` and `Unsupported` for what cannot be.
    """
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant):
        tell("reading model metadata")
        config, layers = _from_model(wanted["from"]) if "from" in wanted else _from_files(wanted["files"])
        layers += [_adapter(digest) for digest in wanted.get("adapters", [])]
        for media_type, data in recipe.text_layers(_merged(wanted, layers)):
            blob = put_bytes(tenant=tenant, data=data, media_type=media_type)
            if media_type != manifests.LICENSE:
                layers = [layer for layer in layers if layer.media_type != media_type]
            layers.append(Layer(blob.digest, blob.size, media_type))
        if "license" in wanted:
            added = len(wanted["license"])
            licenses = [layer for layer in layers if layer.media_type == manifests.LICENSE]
            layers = [layer for layer in layers if layer not in licenses[:-added]]
        for layer in layers:
            tell(f"using layer {layer.digest[:_SHORT]}")
        image_config = image_config_blob(tenant, config, layers)
        tell("writing manifest")
        return make_version(
            acting=acting,
            name=wanted["model"],
            config=config,
            layers=list(dict.fromkeys(layers)),
            image_config=image_config,
        )


def _from_model(name: str) -> tuple[dict[str, Any], list[Layer]]:
    version = find_channel(name).version
    if version.source == Version.Source.ARTIFACT:
        raise Unsupported(f"'{name}' is no model but an artefact: no model can be made from it.", param="from")
    if version.source == Version.Source.EXTERNAL:
        engine = version.manifest.get("engine", "")
        raise Unsupported(
            f"'{name}' is kept by the {engine} engine of a node, not by the registry: no model can be made from it here.",
            param="from",
            engine=engine,
        )
    return {**version.details, "parent_model": name}, manifests.layers_of(version.manifest)


def _from_files(digests: list[str]) -> tuple[dict[str, Any], list[Layer]]:
    weights: list[Blob] = []
    adapters: list[Layer] = []
    for digest in digests:
        blob = _ours(digest, "files")
        kind = kind_of_blob(digest)
        if kind == "projector":
            raise Unsupported("The llamacpp engine here cannot do projectors (a model that sees).", param="files")
        if kind == "adapter":
            adapters.append(Layer(digest, blob.size, manifests.ADAPTER))
        else:
            weights.append(blob)
    if len(weights) != 1:
        raise InvalidRequest(f"'files' must hold the weights in one GGUF file; it holds {len(weights)}.", param="files")
    header = header_of_blob(weights[0].digest).as_dict()
    return header, [Layer(weights[0].digest, weights[0].size, manifests.GGUF), *adapters]


def _adapter(digest: str) -> Layer:
    blob = _ours(digest, "adapters")
    if kind_of_blob(digest) != "adapter":
        raise InvalidRequest(f"{digest[:_SHORT]} is not a LoRA adapter in a GGUF file.", param="adapters")
    return Layer(digest, blob.size, manifests.ADAPTER)


def _ours(digest: str, field: str) -> Blob:
    blob = find_blob(digest)
    if blob is None:
        raise InvalidRequest(f"blob '{digest}' not found; send it to /api/blobs/{digest} first", param=field)
    return blob


def _merged(wanted: dict[str, Any], layers: list[Layer]) -> dict[str, Any]:
    """The parameters of the model it is made from stay, but for those that are named anew."""
    held = [layer for layer in layers if layer.media_type == manifests.PARAMS]
    if "parameters" not in wanted or not held:
        return wanted
    before: dict[str, Any] = json.loads(read_bytes(blob_store(), blob_key(held[0].digest)))
    return wanted | {"parameters": before | wanted["parameters"]}


def image_config_blob(tenant: uuid.UUID, config: dict[str, Any], layers: list[Layer]) -> Layer:
    """What Ollama and registries keep beside the layers of a model, as a blob of the tenant."""
    family = config.get("family") or ""
    data = json.dumps(
        {
            "model_format": config.get("format") or "gguf",
            "model_family": family,
            "model_families": [family],
            "model_type": config.get("parameter_size") or "",
            "file_type": config.get("quantization_level") or "",
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
        separators=(",", ":"),
    ).encode()
    blob = put_bytes(tenant=tenant, data=data, media_type=manifests.IMAGE_CONFIG)
    return Layer(blob.digest, blob.size, manifests.IMAGE_CONFIG)
