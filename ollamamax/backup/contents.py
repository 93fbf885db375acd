"""What the members of a backup are called, and the settings in it. Knows no Django."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from ollamamax.backup import sealing
from ollamamax.backup.archive import MOST_JSON, ArchiveBroken, Reader

SETTINGS, COUNTS, SEQUENCES, PARTITIONS = "settings.json", "counts.json", "sequences.json", "partitions.json"
TABLES, FILES = "tables/", "home/"


def settings_in(file: Path, identities: Sequence[Any]) -> dict[str, str]:
    """The settings that a backup holds, secrets too, after all of it was checked. Raises `ArchiveBroken`, `KeyUnusable`."""
    found: dict[str, str] = {}
    with sealing.opened(file, identities) as stream:
        for name, _, data in Reader(stream).members():
            if name == SETTINGS:
                found = {str(key): str(value) for key, value in read_json(data).items()}
    if "OLLAMAMAX_SECRET_KEY" not in found:
        raise ArchiveBroken("The backup lacks the installation's key.")
    return found


Shape = TypeVar("Shape")


def shaped(value: Any, shape: type[Shape]) -> Shape:
    """The value, which a backup holds as this. Raises `ArchiveBroken`."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ArchiveBroken(f"The backup is damaged: {str(error)[:200]}.") from error


def read_json(stream: IO[bytes]) -> Any:
    try:
        return json.loads(stream.read(MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise ArchiveBroken("The backup is damaged: what should be JSON is none.") from error
