"""The metadata at the head of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), as `show` tells it.

Node code reads no more than the head: a file of many gigabytes takes as long as a small one.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ollamamax.kernel.errors import EngineFailed

_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALARS = {form: struct.Struct("<" + form) for form in _FORMATS.values()}
_STRING, _ARRAY = 8, 9
_RANK = 4
_MOST = 10_000_000
"""More entries than this in one list are a broken file."""


class _Head:
    def __init__(self, file: BinaryIO) -> None:
        self._read = file.read
        self._left = file.seek(0, io.SEEK_END)
        file.seek(0)

    def _next(self, size: int) -> bytes:
        # Looked at before it is read: a length that is not true must not take memory.
        self._left -= size
        if self._left < 0:
            raise ValueError("it tells of more than it holds")
        return self._read(size)

    def scalar(self, form: str) -> Any:
        known = _SCALARS.get(form) or struct.Struct("<" + form)
        (value,) = known.unpack(self._next(known.size))
        return value

    def bytes(self) -> bytes:
        return self._next(self.scalar("Q"))

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.bytes().decode(errors="replace")
        if kind == _ARRAY:
            inner, count = self.scalar("I"), self.scalar("Q")
            if count > _MOST:
                raise ValueError(f"a list of {count} entries")
            if inner in _FORMATS:
                form = f"<{count}{_FORMATS[inner]}"
                return list(struct.unpack(form, self._next(struct.calcsize(form))))
            return [self.value(inner) for _ in range(count)]
        return self.scalar(_FORMATS[kind])


@contextmanager
def _begun(file: BinaryIO, name: str) -> Iterator[tuple[_Head, int, int]]:
    """The head of a file, and how many tensors and pairs it tells of. What is wrong with it is raised as `EngineFailed`."""
    try:
        head = _Head(file)
        if head.scalar("4s") != b"GGUF" or head.scalar("I") < 2:
            raise ValueError("it is not GGUF of version 2 or newer")
        tensors, pairs = head.scalar("Q"), head.scalar("Q")
        if max(tensors, pairs) > _MOST:
            raise ValueError("its counts cannot be true")
        yield head, tensors, pairs
    except (OSError, ValueError, KeyError, struct.error, MemoryError, RecursionError) as error:
        raise EngineFailed(f"{name} cannot be read as a GGUF file: {error}.") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise EngineFailed(f"{path.name} cannot be read as a GGUF file: {error}.") from error
    with file:
        yield file


def read_metadata(path: Path) -> dict[str, Any]:
    """As `metadata_in`, of a file that is opened for it. Raises `EngineFailed`."""
    with _opened(path) as file:
        return metadata_in(file, path.name)


def metadata_in(file: BinaryIO, name: str) -> dict[str, Any]:
    """All keys and values, and ``general.parameter_count`` as counted from the tensors; ``name`` is for messages.

    Raises `EngineFailed`.
    """
    with _begun(file, name) as (head, tensors, pairs):
        found = {head.bytes().decode(): head.value(head.scalar("I")) for _ in range(pairs)}
        found["general.parameter_count"] = sum(_elements(head) for _ in range(tensors))
        return found


def pooling_of(path: Path) -> int | None:
    """What the file says for ``<architecture>.pooling_type``, without reading the long lists of tokens behind it. Raises `EngineFailed`."""
    with _opened(path) as file, _begun(file, path.name) as (head, _, pairs):
        for _ in range(pairs):
            name = head.bytes().decode()
            if name.startswith("tokenizer.ggml.tokens"):
                return None
            value = head.value(head.scalar("I"))
            if name.endswith(".pooling_type") and isinstance(value, int):
                return value
        return None


def _elements(head: _Head) -> int:
    """How many numbers the next tensor holds."""
    head.bytes()
    count = 1
    for _ in range(head.scalar("I")):
        count *= head.scalar("Q")
    head.scalar("I")
    head.scalar("Q")
    return count


def is_for_embeddings(metadata: dict[str, Any]) -> bool:
    """Whether the model was made to embed: such models say how their output is pooled."""
    return f"{metadata.get('general.architecture')}.pooling_type" in metadata


def shown(metadata: dict[str, Any], *, verbose: bool, template: str = "") -> dict[str, Any]:
    """As `contract.Final.info`: Ollama's form of it, lists left empty unless ``verbose``.

    ``template`` stands in for the file's own in chats.
    """
    own = metadata.get("tokenizer.chat_template", "")
    apart = {"general.name", "tokenizer.chat_template"}
    info = {
        name: [] if isinstance(value, list) and not verbose else value
        for name, value in metadata.items()
        if name not in apart
    }
    found: dict[str, Any] = {"model_info": info, "capabilities": capabilities(metadata, template or own)}
    if own:
        found["template"] = own
    if license_name := metadata.get("general.license"):
        found["license"] = license_name
    return found


def capabilities(metadata: dict[str, Any], template: str) -> list[str]:
    """In Ollama's words, and ``rerank``: what the file was made for, and what ``template`` (Jinja) has a place for."""
    if metadata.get(f"{metadata.get('general.architecture')}.pooling_type") == _RANK:
        return ["rerank"]
    if is_for_embeddings(metadata):
        return ["embedding"]
    found = ["completion"]
    if knows_tools(template):
        found.append("tools")
    if thinks(template):
        found.append("thinking")
    return found


def knows_tools(template: str) -> bool:
    return "tools" in template


def thinks(template: str) -> bool:
    return any(word in template for word in ("enable_thinking", "reasoning", "<think>"))
