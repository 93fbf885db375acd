"""What a suite asks and what was answered, in the secret box: it is the tenant's, as stored responses are."""

from __future__ import annotations

from typing import Any

from ollamamax.kernel.errors import Conflict
from ollamamax.responses import sealed as box
from ollamamax.secret_box import CannotOpen

sealed = box.sealed


def opened(value: bytes | memoryview, place: str) -> Any:
    """Raises `Conflict` for what no key of the ring opens."""
    try:
        return box.opened(value, place)
    except CannotOpen as error:
        raise Conflict("This cannot be read any more: the key that sealed it is not in the key ring.") from error
