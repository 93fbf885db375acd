"""Bodies of Ollama's requests for managing models; fields that nobody knows are ignored, as Ollama does."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from ollamamax.contract.as_ollama import OllamaFields
from ollamamax.contract.fields import Fields
from ollamamax.contract.ignored import Ignored
from ollamamax.kernel.errors import InvalidRequest, TooLarge

MOST_BYTES = 16 << 20
IGNORED = "ollamamax.ignored"
"""Where a request's scope has its `Ignored`."""
T = TypeVar("T", bound=msgspec.Struct)


class TransferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``/api/pull`` and ``/api/push``; ``name`` is the older word for ``model``."""

    model: str = ""
    name: str = ""
    insecure: bool | None = None
    stream: bool | None = None


TRANSFER = OllamaFields(TransferRequest)


class CopyRequest(msgspec.Struct, forbid_unknown_fields=True):
    source: str = ""
    destination: str = ""


COPY = OllamaFields(CopyRequest)


class DeleteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``name`` is the older word for ``model``."""

    model: str = ""
    name: str = ""


DELETE = OllamaFields(DeleteRequest)


async def read(request: Request, fields: Fields[T]) -> T:
    """The body by the table of its route. Raises `TooLarge`, and what `Fields.parse` raises."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise TooLarge(f"The body is larger than the {MOST_BYTES} bytes this server accepts.", limit=MOST_BYTES)
    if not body:
        raise InvalidRequest("missing request body")
    ignored: Ignored = request.scope.setdefault(IGNORED, Ignored())
    return fields.parse(bytes(body), ignored)
