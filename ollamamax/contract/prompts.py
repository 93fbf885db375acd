"""Prompts that a tenant has kept by its policy: on their way from a gateway to Postgres they are sealed to the tenant's public key."""

from __future__ import annotations

import msgspec

MOST_BYTES = 65_536
"""Of a prompt's text so many bytes are kept; what is longer is cut, and says so."""


class PromptPart(msgspec.Struct, frozen=True):
    """``role`` is of a message, or what else of a request it is: ``prompt``, ``suffix``, ``input``, ``tokens``."""

    role: str
    text: str


class Prompt(msgspec.Struct, frozen=True):
    """``bytes`` is the size of the whole text in UTF-8, also where it was cut."""

    kind: str
    parts: list[PromptPart]
    bytes: int
    cut: bool = False


class SealedPrompt(msgspec.Struct, frozen=True, omit_defaults=True):
    """``sealed`` is a `Prompt` in MessagePack, for the place that `place_of` names. ``user``: whom the request names as its end user."""

    request: str
    tenant: str
    key: str
    received_at: float
    sealed: bytes
    user: str = ""


def place_of(tenant: str, request: str) -> str:
    """What a prompt is sealed for; both are ids in hex."""
    return f"metering.prompt:{tenant}:{request}"


encode_prompt = msgspec.msgpack.Encoder().encode
decode_prompt = msgspec.msgpack.Decoder(Prompt).decode
encode_sealed = msgspec.msgpack.Encoder().encode
decode_sealed = msgspec.msgpack.Decoder(SealedPrompt).decode
