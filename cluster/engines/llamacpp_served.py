"""One version in llama.cpp's memory, or on its way there: what is known of it, and what it can do."""

from __future__ import annotations

import asyncio
import datetime
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from cluster.engines.base import EngineKind, LocalModel, unsupported
from cluster.engines.gguf_metadata import pooling_of
from cluster.engines.json_grammar import grammar_of
from cluster.engines.llamacpp_process import LlamaProcess, Order, Pooling
from cluster.engines.template import is_jinja, template_of
from cluster.engines.template_syntax import TemplateProblem
from ollamamax import contract, logs
from ollamamax.kernel.errors import EngineFailed, Unavailable

KIND: EngineKind = "llamacpp"
KEEP_ALIVE = 300.0
RANK = 4
"""llama.cpp's number for a model whose head scores a pair of texts."""
THOUGHTS = '([^<] | "<" [^/] | "</" [^t])* "</think>" "\\n"{0,2}'
"""The rest of what a model thinks, and its end."""
log = logs.get(__name__)


@dataclass
class Served:
    """One version in memory, or on its way there. ``lock`` orders loading, reloading and unloading."""

    model: LocalModel
    context: int
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: LlamaProcess | None = None
    watcher: asyncio.Task[None] | None = None
    state: Literal["unloaded", "loading", "loaded", "failed"] = "unloaded"
    error: str | None = None
    failed_at: float = 0.0
    deaths: int = 0
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    keep_alive: float = KEEP_ALIVE
    used_at: float = field(default_factory=time.monotonic)
    template: str = ""
    vision: bool = False
    embedding: Pooling = ""
    gpu_layers: int | None = None
    load: contract.Load = contract.NOTHING_FIXED
    """What the last request's profile fixed."""

    def bounded(self, wanted: int) -> int:
        """The context that a request asks for, as far as the model was made for it: as Ollama does, more is not an error."""
        most = self.model.config.get("context_length")
        if most and wanted > most:
            log.info("context_bounded", version=self.model.version, wanted=wanted, most=most)
            return int(most)
        return wanted

    def most_context(self, load: contract.Load) -> int | None:
        """The bound for a context that nobody asked for in this request: the model's own, and what its profile fixes."""
        known = [each for each in (self.model.config.get("context_length"), load.num_ctx) if each]
        return min(known, default=None)

    def aim(self, load: contract.Load, wanted: int) -> tuple[int, int | None]:
        """Context and GPU layers that the instance is to have; those that it has, unless there is a reason to load again.

        Reasons: the profile changed, the instance is idle and differs from it, or no profile fixes the context and
        the request needs more. Raises `Unavailable` when the profile fixes less than the request needs: it was sent
        here for a larger instance, which is gone.
        """
        if load.num_ctx is None:
            context = max(wanted, self.context)
        else:
            # A profile may ask for more than a version was made for.
            context = min(load.num_ctx, self.model.config.get("context_length") or load.num_ctx)
        if self.state == "loaded" and wanted <= self.context:
            larger = wanted > context
            if larger or (self.users and load == self.load and self.context >= context):
                return self.context, self.gpu_layers
        if wanted > context:
            raise Unavailable(f"{self.model.name} is not loaded with num_ctx {wanted} here any more.", retry_after=1)
        return context, load.num_gpu if load != contract.NOTHING_FIXED else self.gpu_layers

    def release(self) -> None:
        """One user less."""
        self.users -= 1
        self.unused.set()
        self.used_at = time.monotonic()

    def expires_in(self) -> float | None:
        """Seconds until it is unloaded; ``None`` while it is used or when it stays."""
        if self.users or self.keep_alive < 0:
            return None
        return self.used_at + self.keep_alive - time.monotonic()

    def order(self, slots: int, threads: int, cache: int) -> Order:
        """How its child process is to serve it. ``cache``: bytes that its prompts may take; texts to embed are not kept."""
        recipe = self.model.recipe
        return Order(
            str(self.model.path),
            slots,
            self.context,
            threads,
            self.embedding,
            self.gpu_layers,
            tuple(str(path) for path in recipe.adapters),
            recipe.template if is_jinja(recipe.template) else "",
            cache >> 20 if self.embedding in {"", "last"} else 0,
        )

    def renders(self, inference: contract.Inference) -> bool:
        """Whether the version's own template makes the prompt. Tools and thoughts are told apart by llama.cpp alone,
        and so go through the template in the GGUF file."""
        text = self.model.recipe.template
        if not text or inference.kind not in {"chat", "count"} or inference.tools or inference.think:
            return False
        try:
            template = template_of(text)
        except TemplateProblem as error:
            # Who pulled it was told.
            log.warning("template_not_applied", version=self.model.version, error=error.message)
            return False
        return not is_jinja(text) and not (template.thinks and self.thinks)

    def rendered(self, inference: contract.Inference) -> contract.Inference:
        """The chat as a completion of the prompt that the version's template makes of it. Raises `InvalidRequest`."""
        today = datetime.datetime.now(datetime.UTC).date()
        prompt = template_of(self.model.recipe.template).render(inference.messages, today)
        return msgspec.structs.replace(
            inference, kind="completion", prompt=prompt + inference.continued, messages=[], think=None
        )

    @property
    def thinks(self) -> bool:
        """Whether its template has room for thoughts."""
        return any(word in self.template for word in ("enable_thinking", "reasoning", "<think>"))

    def able(self, inference: contract.Inference) -> contract.Inference:
        """Without the wish to think, for a model that cannot."""
        if inference.think and inference.think_if_able and not self.thinks:
            return msgspec.structs.replace(inference, think=None)
        return inference

    def switches(self, inference: contract.Inference) -> dict[str, object]:
        """What its template is told of this request."""
        think = {} if inference.think is None else {"enable_thinking": bool(inference.think)}
        return think | inference.template_kwargs

    def grammar(self, inference: contract.Inference, prompt: str) -> str:
        """Of the answer, with thoughts before it where the prompt has opened them already, or the request wants them."""
        if prompt.rstrip().endswith("<think>"):
            return grammar_of(inference.format or "json", before=THOUGHTS)
        if inference.think and "<think>" in self.template:
            return grammar_of(inference.format or "json", before=f'("<think>" {THOUGHTS})?')
        return grammar_of(inference.format or "json")

    def check(self, inference: contract.Inference) -> None:
        """Refuse what this model cannot do, where llama.cpp itself would ignore it or fail."""
        if inference.kind == "embed" and inference.dimensions is not None:
            raise unsupported(KIND, "dimensions")
        if inference.tools and "tools" not in self.template:
            raise unsupported(KIND, "tools", f"the chat template of {self.model.name} has none")
        if inference.think and not self.thinks:
            raise unsupported(KIND, "think", f"{self.model.name} does not think")
        if not self.vision and any(_has_image(message) for message in inference.messages):
            raise unsupported(KIND, "images", f"{self.model.name} does not see")


def check_kind(model: LocalModel, inference: contract.Inference) -> None:
    """Refuse, before anything is loaded, to rerank with what is no reranker, and all else with what is one."""
    is_reranker = made_to_embed(model) == "rank"
    if inference.kind == "rerank" and not is_reranker:
        raise unsupported(KIND, "rerank", f"{model.name} is no reranker: it has no head that ranks")
    if is_reranker and inference.kind in {"chat", "completion", "embed"}:
        raise unsupported(KIND, inference.kind, f"{model.name} is a reranker")


def made_to_embed(model: LocalModel) -> Pooling:
    """How a model that was made for embeddings pools: its file says so, or its manifest says what it is."""
    if (pooling := _pooling(model.path)) is not None:
        return "rank" if pooling == RANK else "own"
    return "mean" if "embedding" in (model.config.get("capabilities") or []) else ""


@cache
def _pooling(file: Path) -> int | None:
    try:
        return pooling_of(file)
    except EngineFailed:
        return None  # to load it will say why


def _has_image(message: dict[str, object]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part.get("type") == "image_url" for part in content)
