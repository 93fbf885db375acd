"""What is read of a GGUF file, beside what the format's own project reads of it."""

from __future__ import annotations

import contextlib
import math
import random
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter, LlamaFileType, PoolingType

from cluster.engines.gguf_metadata import pooling_of, read_metadata
from models_registry.gguf_header import _FILE_TYPES, kind_in, read_header
from ollamamax.kernel.errors import EngineFailed, InvalidRequest
from tests import smollm


def test_it_is_what_the_format_s_own_project_reads() -> None:
    reader = GGUFReader(smollm.path())
    metadata = read_metadata(smollm.path())
    for name in ("general.architecture", "llama.context_length", "tokenizer.chat_template", "tokenizer.ggml.tokens"):
        field = reader.fields[name]
        assert metadata[name] == field.contents()
    header = read_header(smollm.path())
    assert header.parameter_count == sum(math.prod(int(n) for n in tensor.shape) for tensor in reader.tensors)
    assert (header.parameter_size, header.quantization_level, header.context_length) == ("134.5M", "Q4_1", 8192)


def test_every_kind_of_quantization_has_its_name() -> None:
    named = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in LlamaFileType}
    del named[LlamaFileType.GUESSED.value]
    assert named == _FILE_TYPES


def test_how_a_model_pools_is_read_where_it_stands(tmp_path: Path, gguf: Path) -> None:
    path = tmp_path / "embeds.gguf"
    writer = GGUFWriter(path, "bert")
    writer.add_pooling_type(PoolingType.CLS)
    writer.add_string("general.description", "its .pooling_type is not 7")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert pooling_of(path) == 2
    assert pooling_of(gguf) is None
    with path.open("rb") as file:
        assert kind_in(file, "embeds") == "model"


@pytest.mark.parametrize("seed", range(30))
def test_a_broken_file_is_said_to_be_one(seed: int, tmp_path: Path, gguf: Path) -> None:
    rng = random.Random(seed)
    data = bytearray(gguf.read_bytes())
    if seed % 3 == 0:
        data = data[: rng.randrange(len(data))]
    for _ in range(rng.randrange(1, 6)):
        if data:
            data[rng.randrange(min(200, len(data)))] = rng.randrange(256)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(bytes(data))
    for read, error in ((read_metadata, EngineFailed), (pooling_of, EngineFailed), (read_header, InvalidRequest)):
        with contextlib.suppress(error):
            read(broken)
