"""How much memory a version takes once it is loaded, from what its GGUF file says, and how far that is corrected by what engines really used.

The formula is of transformers whose every layer keeps keys and values of the whole context. Of others it says that the need is not known.
Sizes in bytes, contexts in tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

DEFAULT_CONTEXT = 4096
"""What an engine loads where neither a profile nor the command line says anything else (`ollamamax-node run --context`)."""
CACHE_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Of one number in the cache of keys and values, by its type. The quantised ones hold 32 numbers in a block with a scale of two bytes."""
DEFAULT_CACHE = "f16"
BATCH = 512
"""Tokens of a prompt that llama.cpp works on at once (``n_ubatch``)."""
PROCESS = 52 << 20
"""Of an engine's process: what was left of the measured memory of the bundled model (xllamacpp 2026.10, Linux) beside its weights, cache and buffers."""
LEAST_CORRECTION, MOST_CORRECTION = 0.5, 3.0
"""A node's word beyond these is no measurement of what the formula is about."""
MOST_SAMPLES = 50
PLAIN = frozenset(
    {
        *("llama", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "phi2", "gemma", "starcoder", "starcoder2", "falcon"),
        *(
            "gpt2",
            "gptneox",
            "mpt",
            "bloom",
            "stablelm",
            "olmo",
            "olmo2",
            "olmoe",
            "internlm2",
            "granite",
            "granitemoe",
        ),
        *("command-r", "orion", "baichuan", "refact", "codeshell", "xverse", "exaone", "nemotron", "deepseek", "dbrx"),
        *("grok", "minicpm", "smollm3", "arctic", "jais"),
    }
)
"""Architectures (``general.architecture``) of which every layer attends to the whole context."""
_UNUSUAL = {
    "attention.sliding_window": "some of its layers attend to a window only",
    "attention.kv_lora_rank": "it keeps keys and values compressed",
    "attention.shared_kv_layers": "its layers share keys and values",
    "attention.chunk_size": "its layers attend to chunks",
    "ssm.state_size": "it keeps a state besides keys and values",
    "wkv.head_size": "it keeps a state instead of keys and values",
}


class WeightsShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a GGUF file says of its model that its memory follows from. ``unknown``: why nothing follows from it; empty where it does."""

    architecture: str = ""
    layers: int = 0
    kv_heads: tuple[int, ...] = ()
    """Of each layer how many heads have keys and values of their own; one number where all layers have as many."""
    key_length: int = 0
    value_length: int = 0
    embedding: int = 0
    feed_forward: int = 0
    vocabulary: int = 0
    unknown: str = ""


class MemoryNeed(msgspec.Struct, frozen=True):
    """The parts of what a loaded version takes: ``weights``, the ``cache`` of keys and values, and the process with its ``buffers``."""

    weights: int
    cache: int
    buffers: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.buffers


def shape_of(metadata: Mapping[str, Any]) -> WeightsShape:
    """``metadata`` as `cluster.engines.gguf_metadata.metadata_in` returns it. A file may lie: what is no possible number is not known."""
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or not name or len(name) > 60:
        return WeightsShape(unknown="its file names no architecture")
    if name not in PLAIN:
        return WeightsShape(name, unknown=f"'{name}' is not among the architectures whose memory is known")
    for key, why in _UNUSUAL.items():
        if metadata.get(f"{name}.{key}"):
            return WeightsShape(name, unknown=why)
    layers, embedding = _count(metadata.get(f"{name}.block_count")), _count(metadata.get(f"{name}.embedding_length"))
    heads = _counts(metadata.get(f"{name}.attention.head_count"))
    kv_heads = _counts(metadata.get(f"{name}.attention.head_count_kv")) or heads
    if not layers or not embedding or not heads or not max(heads) or len(kv_heads) not in (1, layers):
        return WeightsShape(name, unknown="its file does not say how many layers and heads it has")
    head = embedding // max(heads)
    vocabulary = metadata.get(f"{name}.vocab_size")
    tokens = metadata.get("tokenizer.ggml.tokens")
    return WeightsShape(
        name,
        layers,
        kv_heads,
        _count(metadata.get(f"{name}.attention.key_length")) or head,
        _count(metadata.get(f"{name}.attention.value_length")) or head,
        embedding,
        max(_counts(metadata.get(f"{name}.feed_forward_length")), default=0) or 4 * embedding,
        _count(vocabulary) or (len(tokens) if isinstance(tokens, list) else 0),
    )


def need(shape: WeightsShape, size: int, *, context: int, slots: int, cache: str = DEFAULT_CACHE) -> MemoryNeed | None:
    """Of weights of ``size`` bytes with so many tokens of context in each of ``slots``; ``None`` where it is not known (``shape.unknown``)."""
    if shape.unknown or not shape.layers:
        return None
    heads = shape.kv_heads[0] * shape.layers if len(shape.kv_heads) == 1 else sum(shape.kv_heads)
    numbers = heads * (shape.key_length + shape.value_length) * context * slots
    # A layer's activations of one batch, and a row of logits for each slot, in 32 bits.
    work = 4 * (BATCH * (4 * shape.embedding + 2 * shape.feed_forward) + slots * shape.vocabulary)
    return MemoryNeed(size, int(numbers * CACHE_BYTES[cache]), PROCESS + work)


@dataclass(frozen=True, slots=True)
class MemorySample:
    """What an engine reported of a version that it had just loaded, beside what was predicted for that context and those slots."""

    engine: str
    architecture: str
    predicted: int
    measured: int


def corrections(samples: Iterable[MemorySample]) -> dict[tuple[str, str], float]:
    """By engine and architecture: what a prediction is multiplied by. It is the highest share of the last ones, which errs on the side of room."""
    seen: dict[tuple[str, str], list[float]] = {}
    for each in samples:
        if each.predicted > 0 and each.measured > 0:
            seen.setdefault((each.engine, each.architecture), []).append(each.measured / each.predicted)
    return {key: min(MOST_CORRECTION, max(LEAST_CORRECTION, max(found[-MOST_SAMPLES:]))) for key, found in seen.items()}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else 0


def _counts(value: Any) -> tuple[int, ...]:
    """One number, or one for each layer, of which some may be none; nothing where that is not what it is."""
    if not isinstance(value, list):
        one = _count(value)
        return (one,) if one else ()
    good = len(value) <= 10_000 and all(isinstance(each, int) and 0 <= each < 1 << 31 for each in value)
    return tuple(value) if good else ()
