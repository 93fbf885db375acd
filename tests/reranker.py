"""A reranker small enough to be made here: a BERT of one layer with a rank head, whose weights are drawn from a seed.

Its scores mean nothing; that they are llama.cpp's own, one for each document, is what the tests look at.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, INNER, HEADS, CONTEXT = 32, 64, 2, 128
RANK = 4
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write(path: Path, *, words: str) -> Path:
    """A GGUF file whose vocabulary are the letters and ``words``."""
    tokens = WORDS + [f"▁{word}" for word in words.split()] + [chr(code) for code in range(97, 123)]
    tokens += [f"▁{chr(code)}" for code in range(97, 123)]
    tokens = list(dict.fromkeys(tokens))
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny reranker")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType(RANK))
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_type_count(2)
    writer.add_token_types([3 if token in WORDS else 1 for token in tokens])
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    writer.add_mask_token_id(4)
    draw = np.random.default_rng(7)

    def weight(name: str, *shape: int) -> None:
        writer.add_tensor(name, draw.normal(0, 0.5, shape).astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))

    weight("token_embd.weight", len(tokens), WIDTH)
    weight("token_types.weight", 2, WIDTH)
    weight("position_embd.weight", CONTEXT, WIDTH)
    norm("token_embd_norm")
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        weight(f"blk.0.{part}.weight", WIDTH, WIDTH)
        weight(f"blk.0.{part}.bias", WIDTH)
    norm("blk.0.attn_output_norm")
    weight("blk.0.ffn_up.weight", INNER, WIDTH)
    weight("blk.0.ffn_up.bias", INNER)
    weight("blk.0.ffn_down.weight", WIDTH, INNER)
    weight("blk.0.ffn_down.bias", WIDTH)
    norm("blk.0.layer_output_norm")
    weight("cls.weight", WIDTH, WIDTH)
    weight("cls.bias", WIDTH)
    weight("cls.output.weight", 1, WIDTH)
    weight("cls.output.bias", 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
