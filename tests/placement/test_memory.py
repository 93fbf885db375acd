"""How much memory a version needs: by its file, beside what llama.cpp really took, and corrected by what nodes reported."""

from __future__ import annotations

import pytest

from cluster.engines.gguf_metadata import read_metadata
from cluster.engines.llamacpp_process import LlamaProcess, Order
from cluster.placement.memory import MemorySample, WeightsShape, corrections, need, shape_of
from tests import smollm

LLAMA_8B = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.vocab_size": 128256,
}


@pytest.mark.parametrize(("slots", "context"), [(1, 512), (4, 4096)])
async def test_it_is_what_llama_cpp_takes(slots: int, context: int) -> None:
    import aiohttp

    file = smollm.path()
    predicted = need(shape_of(read_metadata(file)), file.stat().st_size, context=context, slots=slots)
    assert predicted is not None
    process = LlamaProcess(Order(str(file), slots, context, threads=1))
    try:
        async with aiohttp.ClientSession() as session:
            await process.ready(session)
            measured = process.memory()
    finally:
        await process.stop()
    assert measured is not None
    assert 0.95 < predicted.total / measured < 1.1, (predicted, measured)


def test_the_cache_grows_with_context_slots_and_its_type() -> None:
    shape = shape_of(LLAMA_8B)
    one = need(shape, 5 << 30, context=8192, slots=1)
    assert one is not None
    # 32 layers x 8 heads x (128 + 128) numbers of two bytes: 128 KiB a token, as llama.cpp logs for this model.
    assert one.cache == 8192 * (128 << 10)
    four, quantised = (
        need(shape, 5 << 30, context=8192, slots=4),
        need(shape, 5 << 30, context=8192, slots=1, cache="q8_0"),
    )
    assert four is not None
    assert four.cache == 4 * one.cache
    assert quantised is not None
    assert quantised.cache == one.cache * 17 // 32
    assert four.total == four.weights + four.cache + four.buffers


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"llama.attention.sliding_window": 4096}, "window"),
        ({"llama.ssm.state_size": 16}, "state"),
        ({"llama.attention.kv_lora_rank": 512}, "compressed"),
        ({"general.architecture": "mamba"}, "mamba"),
        ({"general.architecture": 7}, "no architecture"),
        ({"llama.block_count": 0}, "how many layers"),
        ({"llama.block_count": True}, "how many layers"),
        ({"llama.attention.head_count": None}, "how many layers"),
        ({"llama.attention.head_count_kv": [8] * 31}, "how many layers"),
    ],
    ids=["window", "ssm", "mla", "mamba", "number", "no-layers", "bool", "no-heads", "too-few"],
)
def test_of_what_is_unusual_nothing_is_guessed(changes: dict[str, object], why: str) -> None:
    shape = shape_of(LLAMA_8B | changes)
    assert why in shape.unknown
    assert need(shape, 1 << 30, context=4096, slots=1) is None


def test_layers_may_differ_in_their_heads() -> None:
    shape = shape_of(LLAMA_8B | {"llama.attention.head_count_kv": [8] * 31 + [0]})
    found = need(shape, 0, context=1, slots=1)
    assert found is not None
    assert found.cache == 31 * 8 * 256 * 2


def test_predictions_are_corrected_for_each_engine_and_architecture_within_bounds() -> None:
    factors = corrections(
        [
            MemorySample("llamacpp", "llama", 100, 90),
            MemorySample("llamacpp", "llama", 100, 120),
            MemorySample("ollama", "llama", 100, 80),
            MemorySample("llamacpp", "qwen2", 100, 10_000),
            MemorySample("llamacpp", "phi2", 0, 50),
        ]
    )
    assert factors == {("llamacpp", "llama"): 1.2, ("ollama", "llama"): 0.8, ("llamacpp", "qwen2"): 3.0}
    assert WeightsShape().unknown == ""
    assert need(WeightsShape(), 1, context=1, slots=1) is None
