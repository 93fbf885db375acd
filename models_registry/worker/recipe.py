"""Reads the layers of a version beside its weights, from this node's disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from cluster.engines.recipe import PARAMETERS, Recipe
from models_registry import manifest as manifests
from models_registry.manifest import Layer
from ollamamax.kernel.errors import InvalidRequest


def read_recipe(layers: Iterable[Layer], path: Callable[[str], Path]) -> Recipe:
    """``path`` says where a blob lies. Raises `InvalidRequest` for a layer that cannot be read. Blocks."""
    found: dict[str, list[bytes]] = {}
    adapters = []
    for layer in layers:
        if layer.media_type == manifests.ADAPTER:
            adapters.append(path(layer.digest))
        elif layer.media_type in manifests.TEXTS and layer.size <= manifests.MOST_TEXT:
            found.setdefault(layer.media_type, []).append(path(layer.digest).read_bytes())
    return Recipe(
        system=_text(found.get(manifests.SYSTEM)),
        template=_text(found.get(manifests.TEMPLATE)),
        parameters=parameters(_json(found.get(manifests.PARAMS), dict[str, Any]) or {}),
        messages=tuple(_json(found.get(manifests.MESSAGES), list[dict[str, Any]]) or ()),
        license=tuple(each.decode(errors="replace") for each in found.get(manifests.LICENSE, [])),
        adapters=tuple(adapters),
    )


def parameters(given: dict[str, Any]) -> dict[str, Any]:
    """Those that are known, each of its type: a model from elsewhere may have more."""
    found = {}
    for name, value in given.items():
        if name in PARAMETERS:
            try:
                found[name] = msgspec.convert(value, PARAMETERS[name], strict=False)
            except msgspec.ValidationError as error:
                raise InvalidRequest(f"its parameter {name} has a wrong value: {error}.") from None
    return found


def _text(parts: list[bytes] | None) -> str:
    return parts[-1].decode(errors="replace") if parts else ""


def _json(parts: list[bytes] | None, kind: Any) -> Any:
    if not parts:
        return None
    try:
        return msgspec.json.decode(parts[-1], type=kind)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"a layer is not the JSON it should be: {error}.") from None
