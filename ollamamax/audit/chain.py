"""The hash of an audit record: pure, so that anyone can check a chain without this program."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

GENESIS = "0" * 64
"""``prev_hash`` of the first record of every chain."""

FIELDS = (
    "chain",
    "seq",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "action",
    "target_type",
    "target_id",
    "request",
    "detail",
    "prev_hash",
)


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of `FIELDS`, which hold the hash of the record before."""
    return hashlib.sha256(canonical({name: record[name] for name in FIELDS})).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON in one form only (after RFC 8785): keys sorted, no spaces, UTF-8, times in UTC to the microsecond."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def plain(value: Any) -> Any:
    """The value as PostgreSQL's jsonb gives it back. Raises ``ValueError`` for what it cannot hold."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat(timespec="microseconds")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("an audit record cannot hold the character NUL")
        value.encode()  # refuses lone surrogates: UnicodeEncodeError is a ValueError
        return str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"an audit record cannot hold {value}")
        # jsonb keeps 1000.0 and 1e3 as numbers of one value, which come back as an integer or not.
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {_key(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise ValueError(f"an audit record cannot hold {type(value).__name__}")


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError("names in an audit record are text")
    return str(plain(name))
