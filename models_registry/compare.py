"""What differs between two versions of a model, as rows for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models_registry import manifest as manifests
from models_registry.manifest import Layer

_FACTS = ("format", "family", "parameter_size", "quantization_level", "context_length", "embedding_length", "license")
_TEXTS = {manifests.TEMPLATE: "template", manifests.SYSTEM: "system", manifests.MESSAGES: "messages"}


@dataclass(frozen=True)
class Compared:
    """``weights`` are the digests of the layers that are not texts; ``texts`` the bytes of those that are, by their digest."""

    size: int
    details: Mapping[str, Any]
    layers: Sequence[Layer]
    texts: Mapping[str, bytes]


@dataclass(frozen=True)
class Difference:
    """``field`` is a fact such as ``context_length``, ``parameter:temperature`` or ``template``; an absent value is ``None``."""

    field: str
    before: Any
    after: Any


def differences(before: Compared, after: Compared) -> list[Difference]:
    """Only what differs, in a fixed order: size, facts, weights, parameters, texts."""
    left, right = _facts(before), _facts(after)
    return [
        Difference(field, left.get(field), right.get(field))
        for field in dict.fromkeys([*left, *right])
        if left.get(field) != right.get(field)
    ]


def _facts(of: Compared) -> dict[str, Any]:
    facts: dict[str, Any] = {"size": of.size}
    facts |= {name: of.details[name] for name in _FACTS if of.details.get(name) not in (None, "")}
    facts["weights"] = sorted(layer.digest for layer in of.layers if layer.media_type not in manifests.TEXTS)
    for layer in of.layers:
        text = of.texts.get(layer.digest, b"")
        if layer.media_type == manifests.PARAMS:
            facts |= {f"parameter:{name}": value for name, value in sorted(_parameters(text).items())}
        elif layer.media_type in _TEXTS:
            facts[_TEXTS[layer.media_type]] = text.decode("utf-8", "replace")
        elif layer.media_type == manifests.LICENSE:
            facts.setdefault("licences", []).append(text.decode("utf-8", "replace"))
    return facts


def _parameters(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
