"""Reading bodies of the management API: JSON, within limits, by the one decoder of clients' bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.parsers import JSONParser

from ollamamax.contract.from_client import decode
from ollamamax.kernel.errors import TooLarge

MAX_BYTES = 1 << 20
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Json(JSONParser):
    """JSON of at most a mebibyte, of text that can be kept. Raises `InvalidRequest`, `TooLarge`."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        del media_type, parser_context
        data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise TooLarge(f"The body is larger than {MAX_BYTES} bytes.")
        return decode(_anything, data)
