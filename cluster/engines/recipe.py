"""What a version adds to its weights, and how it enters a request: defaults, which the request goes before. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ollamamax import contract

PARAMETERS: Mapping[str, Any] = {
    "num_predict": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "min_p": float,
    "seed": int,
    "stop": list[str],
    "presence_penalty": float,
    "frequency_penalty": float,
    "repeat_penalty": float,
    "num_ctx": int,
    # What only llama.cpp's own server knows.
    "repeat_last_n": int,
    "typical_p": float,
    "mirostat": int,
    "mirostat_tau": float,
    "mirostat_eta": float,
    "num_keep": int,
    # How a node loads a model is its owner's affair: kept, shown, without effect.
    **dict.fromkeys(("num_gpu", "main_gpu", "num_thread", "num_batch"), int),
    **dict.fromkeys(("use_mmap", "use_mlock", "low_vram", "numa", "f16_kv", "penalize_newline"), bool),
}
"""The parameters of a version and their types; the names are Ollama's."""

_OPTIONS = {
    **{name: name for name in contract.Options.__struct_fields__ if name in PARAMETERS},
    "num_predict": "max_tokens",
}
_SERVER = {
    "repeat_last_n": "repeat_last_n",
    "typical_p": "typical_p",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
    "num_keep": "n_keep",
}


@dataclass(frozen=True)
class Recipe:
    """``messages`` are the start of every conversation; ``adapters`` are LoRA files, each with the scale 1."""

    system: str = ""
    template: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[dict[str, Any], ...] = ()
    license: tuple[str, ...] = ()
    adapters: tuple[Path, ...] = ()

    def applied(self, inference: contract.Inference, most_context: int | None) -> contract.Inference:
        """The request with this version's defaults. ``most_context`` bounds the default of ``num_ctx``."""
        changes: dict[str, Any] = {}
        if self.parameters:
            changes["options"] = self._options(inference.options, most_context)
        if inference.kind in {"chat", "count"} and inference.messages:
            changes["messages"] = self._messages(inference.messages)
        return msgspec.structs.replace(inference, **changes) if changes else inference

    def context(self, most: int | None) -> int:
        """The context that this version asks for; 0 when it does not say."""
        wanted: int = self.parameters.get("num_ctx", 0)
        return min(wanted, most) if most else wanted

    def server_fields(self) -> dict[str, Any]:
        """Fields of a request to llama.cpp's server that `contract.Options` has no place for."""
        return {theirs: self.parameters[ours] for ours, theirs in _SERVER.items() if ours in self.parameters}

    def shown(self) -> dict[str, Any]:
        """Ollama's ``/api/show``: ``parameters`` as text, one a line."""
        found: dict[str, Any] = {"system": self.system, "template": self.template, "license": "\n".join(self.license)}
        if self.parameters:
            found["parameters"] = "\n".join(_lines(self.parameters))
        if self.messages:
            found["messages"] = list(self.messages)
        return {name: value for name, value in found.items() if value}

    def _options(self, given: contract.Options, most_context: int | None) -> contract.Options:
        defaults = {}
        for name, value in self.parameters.items():
            ours = _OPTIONS.get(name)
            if ours is None or getattr(given, ours) not in (None, []):
                continue
            if ours == "num_ctx":
                value = self.context(most_context)  # a model is not read beyond what it was made for
            if ours == "max_tokens" and value < 0:
                continue  # until the model stops, which is the engine's own default
            defaults[ours] = value
        return msgspec.structs.replace(given, **defaults)

    def _messages(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        messages = [*self.messages, *given]
        if self.system and messages[0].get("role") not in {"system", "developer"}:
            messages.insert(0, {"role": "system", "content": self.system})
        return messages


def _lines(parameters: dict[str, Any]) -> list[str]:
    rows = []
    for name, value in sorted(parameters.items()):
        each = value if isinstance(value, list) else [value]
        rows += [f"{name:<30} {json.dumps(one, ensure_ascii=False)}" for one in each]
    return rows
