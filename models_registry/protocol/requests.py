"""Bodies of Ollama's requests for managing models; fields that nobody knows are ignored, as Ollama does."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from ollamamax.contract.from_client import decode
from ollamamax.kernel.errors import InvalidRequest, TooLarge

MOST_BYTES = 16 << 20
T = TypeVar("T")


class TransferRequest(msgspec.Struct):
    """``/api/pull`` and ``/api/push``; ``name`` is the older word for ``model``."""

    model: str = ""
    name: str = ""
    insecure: bool | None = None
    stream: bool | None = None


class CopyRequest(msgspec.Struct):
    source: str = ""
    destination: str = ""


class DeleteRequest(msgspec.Struct):
    """``name`` is the older word for ``model``."""

    model: str = ""
    name: str = ""


async def read(request: Request, kind: type[T]) -> T:
    """Raises `InvalidRequest`, `TooLarge`."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise TooLarge(f"The body is larger than the {MOST_BYTES} bytes this server accepts.", limit=MOST_BYTES)
    if not body:
        raise InvalidRequest("missing request body")
    return decode(msgspec.json.Decoder(kind), bytes(body))
