"""What a GGUF file says of the model in it (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gguf import GGUFReader, LlamaFileType

from cluster.engines.gguf_metadata import read_metadata
from ollamamax.kernel import errors


@dataclass(frozen=True)
class Header:
    """What is not in the file is ``None`` or empty."""

    format: str
    family: str
    parameter_count: int
    parameter_size: str
    quantization_level: str
    context_length: int | None
    embedding_length: int | None
    chat_template: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_header(file: Path) -> Header:
    """Raises `InvalidRequest` when the file is not GGUF."""
    try:
        reader = GGUFReader(file)
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise errors.InvalidRequest(f"{file.name} is not a GGUF file: {error}") from None
    family = str(_value(reader, "general.architecture") or "")
    file_type = _value(reader, "general.file_type")
    count = sum(math.prod(int(each) for each in tensor.shape) for tensor in reader.tensors)
    return Header(
        format="gguf",
        family=family,
        parameter_count=count,
        parameter_size=_human(count),
        quantization_level=LlamaFileType(file_type).name.removeprefix("MOSTLY_").removeprefix("ALL_")
        if isinstance(file_type, int)
        else "",
        context_length=_integer(_value(reader, f"{family}.context_length")),
        embedding_length=_integer(_value(reader, f"{family}.embedding_length")),
        chat_template=_value(reader, "tokenizer.chat_template") is not None,
    )


def _value(reader: GGUFReader, name: str) -> Any:
    field = reader.fields.get(name)
    return None if field is None else field.contents()


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _human(count: int) -> str:
    """As Ollama writes it: 134.5M, 8.0B."""
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= factor:
            return f"{count / factor:.1f}{unit}"
    return str(count)


def kind_of(file: Path) -> Literal["model", "adapter", "projector"]:
    """What a GGUF file is for. Raises `InvalidRequest` when it is not GGUF."""
    try:
        metadata = read_metadata(file)
    except errors.EngineFailed as error:
        raise errors.InvalidRequest(error.message) from None
    if metadata.get("general.type") == "adapter":
        return "adapter"
    if metadata.get("general.type") == "mmproj" or metadata.get("general.architecture") == "clip":
        return "projector"
    return "model"
