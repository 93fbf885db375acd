"""Makes the engine that a node's identity names."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cluster.engines.base import EngineAdapter, EngineKind, LocalModels


class EngineChoice(msgspec.Struct, omit_defaults=True):
    """The engine a node drives, and how it reaches it; ``slots`` is how many requests it is given at once."""

    kind: EngineKind
    url: str = ""
    api_key_file: str = ""
    slots: int | None = None
    context: int | None = None


def build(choice: EngineChoice, models: LocalModels) -> EngineAdapter:
    """The engine, not yet started. Only this engine is imported: its packages may be the only ones that are installed."""
    api_key = Path(choice.api_key_file).read_text().strip() if choice.api_key_file else ""
    if choice.kind == "llamacpp":
        from cluster.engines.llamacpp import LlamaCpp

        return LlamaCpp(models, slots=choice.slots or 4, context=choice.context or 4096)
    if choice.kind == "ollama":
        from cluster.engines.ollama import Ollama

        return Ollama(choice.url, api_key=api_key, slots=choice.slots)
    from cluster.engines.openai import OpenAI

    return OpenAI(choice.url, api_key=api_key, slots=choice.slots)
