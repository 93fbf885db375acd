"""What of a prompt a node may have read before: a chain of hashes, each of all that comes before a certain place.

Two prompts have a hash in common if and only if they begin alike up to its place. Places are the ends of messages and, in long
ones, steps that grow with the length, so that a place depends on what lies before it only and a megabyte has about 40.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ollamamax.contract import Inference

_LENGTH_BITS = 24
_LENGTH = (1 << _LENGTH_BITS) - 1
_STEP = 1024
"""Bytes between two places within a text, at its beginning."""
_SPACING = 64
"""Bytes that at least lie between two ends of messages that both count."""
BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 800
"""A guess; engines differ between some hundred and some thousand."""
_encode = msgspec.json.Encoder().encode


def prefixes(inference: Inference) -> tuple[int, ...]:
    """64-bit hashes, the shortest prefix first, the whole prompt last. Each ends in the length of its prefix in bytes (24 bits)."""
    chain = hashlib.blake2b(digest_size=8)
    places: list[int] = []
    at = last = 0
    for part, ends_message in _parts(inference):
        start = 0
        while len(part) - start > (room := max(_STEP, at // 4) - (at - last)):
            chain.update(part[start : start + room])
            start += room
            at += room
            last = at
            places.append(_place(chain.digest(), at))
        chain.update(part[start:])
        at += len(part) - start
        if ends_message and (at - last >= max(_SPACING, at // 16) or not places):
            places.append(_place(chain.digest(), at))
            last = at
    if at > last:
        places.append(_place(chain.digest(), at))
    return tuple(places)


def home(tenant: str, name: str) -> int:
    """As the first of `prefixes`, of requests whose client says by a name that they begin alike."""
    return _place(hashlib.blake2b(f"{tenant} {name}".encode(errors="surrogatepass"), digest_size=8).digest(), 0)


def shared_part(prefix: int, whole: int) -> float:
    """How much of a prompt, given by the last of its hashes, one of its prefixes is: above 0, at most 1."""
    return min(1.0, (prefix & _LENGTH) / ((whole & _LENGTH) or 1))


def estimate_tokens(inference: Inference) -> int:
    """About how many tokens the prompt has: four bytes each, and a guess for images."""
    texts = [inference.prompt, *inference.inputs]
    images = 0
    for message in inference.messages:
        content = message.get("content")
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list):
            texts += [str(part.get("text") or "") for part in content]
            images += sum(part.get("type") == "image_url" for part in content)
    size = 0
    for text in texts:
        size += len(text) if text.isascii() else len(text.encode())
    size += len(_encode(inference.tools)) if inference.tools else 0
    size += BYTES_PER_TOKEN * (len(inference.prompt_ids) + len(inference.context) + sum(map(len, inference.input_ids)))
    return size // BYTES_PER_TOKEN + images * IMAGE_TOKENS


def _place(digest: bytes, at: int) -> int:
    return int.from_bytes(digest) & ~_LENGTH | min(at, _LENGTH)


def _parts(inference: Inference) -> Iterator[tuple[bytes, bool]]:
    """The prompt in the order in which chat templates write it, and whether each part ends a message."""
    if inference.tools:
        yield _encode(inference.tools), False
    for message in inference.messages:
        content = message.get("content")
        text = content.encode(errors="surrogatepass") if isinstance(content, str) else b""
        if text and len(message) == 2 and isinstance(role := message.get("role"), str):
            yield _of_role(role), False
        else:
            rest = {name: value for name, value in message.items() if name != "content" or not text}
            yield b"\0" + _encode(rest) + b"\0", False
        yield text, True
    for text in _texts(inference):
        yield text.encode(errors="surrogatepass"), True
    for ids in (inference.prompt_ids, *inference.input_ids):
        if ids:
            # Comma by comma, so that prompts which begin with the same tokens begin with the same bytes.
            yield ",".join(map(str, ids)).encode() + b",", True


@lru_cache(64)
def _of_role(role: str) -> bytes:
    """What is hashed of a message besides its text, where it has nothing else."""
    return b"\0" + _encode({"role": role}) + b"\0"


def _texts(inference: Inference) -> Sequence[Any]:
    return (inference.prompt, *inference.inputs) if inference.prompt else inference.inputs
