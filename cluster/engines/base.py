"""The one interface that every engine has, and the words it uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from cluster.engines.recipe import Recipe
from ollamamax import contract
from ollamamax.kernel.errors import Unsupported

EngineKind = Literal["ollama", "openai", "llamacpp"]
Output = contract.Delta | contract.Final


@dataclass(frozen=True)
class LocalModel:
    """A version whose bytes were verified on this node: ``path`` is its GGUF file, ``config`` from its manifest,
    ``recipe`` what its other layers add."""

    version: str
    name: str
    path: Path
    size: int
    config: dict[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)


class LocalModels(Protocol):
    """Where an engine that runs blobs finds them."""

    def find(self, version: str) -> LocalModel | None: ...


@dataclass(frozen=True)
class Capacity:
    """What an engine can do at once, and what its server itself reports (``None`` where it reports nothing)."""

    slots: int
    running: int | None = None
    waiting: int | None = None
    kv_cache_percent: float | None = None


@dataclass
class PromptCount:
    """What an engine has counted of one request so far: stays true when the request is broken off."""

    prompt_tokens: int = 0


class EngineAdapter(Protocol):
    """One engine of a node.

    ``generate`` runs a request of any kind: it loads the model if need be, yields what was generated and, last, one
    `contract.Final`. Closing the iterator (or cancelling the task that reads it) stops the engine's work. Errors are
    `OllamaMaxError`s; a feature the engine cannot do is `Unsupported`, never dropped.

    ``load`` is what the model's profile fixes: a request whose ``num_ctx`` the loaded instance has never makes it
    load again.
    """

    kind: EngineKind
    hosts_blobs: bool

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Stop what the engine started; running requests break."""

    async def health(self) -> contract.Engine: ...

    async def capacity(self) -> Capacity: ...

    async def models(self) -> list[contract.ModelState]:
        """The versions the engine reports; for one that hosts blobs, those with a process."""

    def loaded(self, version: str) -> bool:
        """Whether the version was in memory when the engine was last asked. Does not block."""

    def context(self, version: str) -> int | None:
        """The context that the version has in memory, where it is there and the engine tells. Does not block."""

    async def load(
        self,
        version: str,
        model: str,
        keep_alive: float | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
        num_ctx: int | None = None,
    ) -> float:
        """Bring the version into memory as ``load`` fixes it; the milliseconds it took (0.0 when it was there).

        Where ``load`` fixes no context, it is at least ``num_ctx``.
        """

    async def unload(self, version: str, model: str) -> None: ...

    async def restart(self, version: str, reason: str) -> bool:
        """End the process that runs the version and hangs, by force, and start it again. ``False`` when the engine has not
        started it: then it is left alone."""

    def generate(
        self,
        version: str,
        model: str,
        inference: contract.Inference,
        traceparent: str = "",
        meter: PromptCount | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
    ) -> AsyncGenerator[Output, None]: ...


def unsupported(engine: str, feature: str, why: str = "") -> Unsupported:
    """The error for a field of `contract.Inference` that ``engine`` cannot do."""
    text = f"The {engine} engine cannot do {feature}" + (f": {why}." if why else ".")
    return Unsupported(text, param=feature, engine=engine)
