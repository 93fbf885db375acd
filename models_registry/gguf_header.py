"""What a GGUF file says of the model in it (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from cluster.engines.gguf_metadata import metadata_in
from ollamamax.kernel import errors

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}
"""``general.file_type``, as llama.cpp numbers them (llama_ftype)."""


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


def read_header(path: Path) -> Header:
    """Raises `InvalidRequest` when the file is not GGUF."""
    with path.open("rb") as file:
        return header_in(file, path.name)


def header_in(file: BinaryIO, name: str) -> Header:
    """The same of a file that is open; ``name`` is for messages."""
    metadata = _metadata(file, name)
    family = str(metadata.get("general.architecture") or "")
    count = _integer(metadata.get("general.parameter_count")) or 0
    file_type = metadata.get("general.file_type")
    return Header(
        format="gguf",
        family=family,
        parameter_count=count,
        parameter_size=_human(count),
        quantization_level=_FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else "",
        context_length=_integer(metadata.get(f"{family}.context_length")),
        embedding_length=_integer(metadata.get(f"{family}.embedding_length")),
        chat_template="tokenizer.chat_template" in metadata,
    )


def _metadata(file: BinaryIO, name: str) -> dict[str, Any]:
    try:
        return metadata_in(file, name)
    except errors.EngineFailed as error:
        raise errors.InvalidRequest(error.message) from None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _human(count: int) -> str:
    """As Ollama writes it: 134.5M, 8.0B."""
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= factor:
            return f"{count / factor:.1f}{unit}"
    return str(count)


def kind_in(file: BinaryIO, name: str) -> Literal["model", "adapter", "projector"]:
    """What a GGUF file is for. Raises `InvalidRequest` when it is not GGUF."""
    metadata = _metadata(file, name)
    if metadata.get("general.type") == "adapter":
        return "adapter"
    if metadata.get("general.type") == "mmproj" or metadata.get("general.architecture") == "clip":
        return "projector"
    return "model"
