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

FIRST_FIELDS = (
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
FORMATS = {1: FIRST_FIELDS, 2: (*FIRST_FIELDS, "format", "outcome", "personal")}
"""What the hash of a record of each format covers. In format 2 ``personal`` holds what is personal, sealed: the hash is over what it was sealed to."""
NEWEST = 2
FIELDS = FORMATS[NEWEST]


class UnknownFormat(ValueError):
    """The record says a format that no release has written."""


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of the fields of the record's format, which hold the hash of the record before.

    Raises `UnknownFormat`.
    """
    fields = FORMATS.get(record["format"])
    if fields is None:
        raise UnknownFormat(record["format"])
    return hashlib.sha256(canonical({name: record[name] for name in fields})).hexdigest()


def digest_of_row(row: Mapping[str, Any]) -> str:
    """As `digest`, of a row as the database gives it, whose JSON is plain already but for whole numbers with a point."""
    fields = FORMATS.get(row["format"])
    if fields is None:
        return ""
    values = {name: row[name] for name in fields}
    values["at"] = row["at"].astimezone(datetime.UTC).isoformat(timespec="microseconds")
    values["detail"] = _whole(row["detail"])
    return hashlib.sha256(_encode(values).encode()).hexdigest()


def _whole(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _whole(item) for name, item in value.items()}
    if kind is list:
        return [_whole(item) for item in value]
    return plain(value) if kind is float else value


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical(value: Any) -> bytes:
    """JSON in one form only (after RFC 8785): keys sorted, no spaces, UTF-8, times in UTC to the microsecond."""
    return _encode(plain(value)).encode()


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
