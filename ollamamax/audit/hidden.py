"""Takes values out of what the audit trail is told whose names say that they are secrets: a net under those who record, who leave them out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "hidden"
_SECRET = re.compile(
    r"(?:^|_)(?:secrets?|passwords?|passphrase|private_key|api_key|authorization|cookie|credentials?|bearer|token|token_hash)$|^sealed_"
)


def without_secrets(value: Any, name: str = "") -> Any:
    """The value with every text, list or bytes under such a name hidden, however deep; whether there is one stays to be seen."""
    if isinstance(value, Mapping):
        return {each: without_secrets(inner, each if isinstance(each, str) else "") for each, inner in value.items()}
    if _SECRET.search(name.lower()) and value and isinstance(value, str | bytes | list | tuple):
        return HIDDEN
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value
