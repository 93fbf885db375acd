"""Which version of a channel under rollout a request has: by its conversation, so that the next turn has the same. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from ollamamax.contract import Inference

_encode = msgspec.json.Encoder().encode
_WHOLE = 1 << 64


def has_new(rollout: str, share: float, who: str, conversation: bytes) -> bool:
    """Whether this conversation is among the ``share`` that has the new version; it stays so when the share rises."""
    name = b"\0".join([rollout.encode(), who.encode(errors="surrogatepass"), conversation])
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) < share * _WHOLE


def conversation_of(inference: Inference, affinity: str, request: str) -> bytes:
    """What stays the same in all turns of a conversation: the client's own name for it, else all up to the first message of its user.

    Embeddings of one key are one conversation, since those of two versions cannot be compared; a completion is one of its own.
    """
    if inference.kind == "embed":
        return b"embed"
    if affinity:
        return b"named " + affinity.encode(errors="surrogatepass")
    for index, message in enumerate(inference.messages):
        if message.get("role") == "user":
            return _encode(inference.messages[: index + 1])
    return b"request " + request.encode()
