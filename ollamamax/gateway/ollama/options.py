"""Ollama's ``options``: those that choose the next token, and those that say how a host loads a model, which the fleet decides."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.contract import Options
from ollamamax.contract.as_ollama import Exact


class SamplingOptions(Exact, msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """All that Ollama knows (``Options`` and ``Runner`` in its ``api/types.go``); it warns of others and goes on without them."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    seed: int | None = None
    stop: list[str] | str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    num_ctx: int | None = None
    # Taken, and left to the fleet.
    num_keep: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int | None = None
    draft_num_predict: int | None = None


LEFT_TO_THE_FLEET: dict[str, Any] = {
    "options.num_keep": 4,
    "options.num_batch": 512,
    "options.num_gpu": -1,
    "options.main_gpu": 0,
    "options.use_mmap": None,
    "options.num_thread": 0,
    "options.draft_num_predict": 4,
}
"""Options that are taken and change nothing, and their defaults, which ask for nothing."""
_FORMER = (
    *("numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "embedding_only", "tfs_z", "mirostat"),
    *("mirostat_tau", "mirostat_eta", "penalize_newline"),
)
IGNORED = {
    **dict.fromkeys(LEFT_TO_THE_FLEET, "the fleet decides how a node loads a model"),
    **{f"options.{name}": "Ollama's server does not know it any more" for name in _FORMER},
}
SAMPLED = [
    path
    for name in SamplingOptions.__struct_fields__
    if (path := f"options.{name}") not in LEFT_TO_THE_FLEET and name != "num_ctx"
]
"""Those that choose the next token."""


def sampling(given: SamplingOptions | None) -> Options:
    """In the engines' common form. What Ollama takes for "not set" is not set."""
    if given is None:
        return Options()
    stop = [given.stop] if isinstance(given.stop, str) else given.stop or []
    return Options(
        # -1 means "until the model stops", -2 "until the context is full": the first, in all our engines.
        max_tokens=given.num_predict if given.num_predict is None else max(-1, given.num_predict),
        temperature=given.temperature,
        top_p=given.top_p,
        top_k=given.top_k,
        min_p=given.min_p,
        typical_p=given.typical_p,
        seed=None if given.seed == -1 else given.seed,
        stop=[each for each in stop if each],
        presence_penalty=given.presence_penalty,
        frequency_penalty=given.frequency_penalty,
        repeat_penalty=given.repeat_penalty,
        repeat_last_n=given.repeat_last_n,
        num_ctx=context(given),
    )


def context(given: SamplingOptions | None) -> int | None:
    """The context that is asked for; 0 and less is Ollama's "not set"."""
    return given.num_ctx if given is not None and given.num_ctx is not None and given.num_ctx > 0 else None
