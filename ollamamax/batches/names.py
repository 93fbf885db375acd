"""The names of files and batches as OpenAI writes them: a prefix and a UUID's 32 hexadecimal digits. Pure."""

from __future__ import annotations

import uuid

FILE = "file-"
BATCH = "batch_"


def id_of(name: str, prefix: str) -> uuid.UUID | None:
    """The UUID in ``name``; ``None`` for what is no such name."""
    digits = name.removeprefix(prefix)
    if not name.startswith(prefix) or len(digits) != 32:
        return None
    try:
        return uuid.UUID(hex=digits)
    except ValueError:
        return None


def file_name(key: uuid.UUID) -> str:
    return FILE + key.hex


def batch_name(key: uuid.UUID) -> str:
    return BATCH + key.hex
