"""Usage records as records of access: which key used which model when, in the formats in which the audit trail goes elsewhere."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from ollamamax.audit import formats
from ollamamax.identity.queries.key import names_of_keys

ACTION = "inference.use"
COLUMNS = (
    *("request", "received_at", "key", "key_name", "user", "model", "version", "node", "node_name", "api"),
    *(
        "outcome",
        "error",
        "status",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "attempts",
        "duration_ms",
        "trace",
        "metadata",
        "shadow_of",
    ),
)
READ = tuple(name for name in COLUMNS if name != "key_name")
"""Those that are the record's own."""
_OUTCOMES = {"ok": "ok", "refused": "refused"}
_TOLD = (
    "user",
    "version",
    "node",
    "node_name",
    "api",
    "error",
    "status",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "trace",
    "shadow_of",
)


def named(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `READ` with the names of their keys, empty for one that is gone. In the tenant's scope. Queries: 1, or none for no rows."""
    names = names_of_keys({row["key"] for row in rows})
    return [row | {"key_name": names.get(row["key"], "")} for row in rows]


def as_line(row: Mapping[str, Any], form: str, version: str, tenant: str) -> str:
    """A row of `COLUMNS` as one line of CEF or OCSF, without its end. It stands in no chain, so it has neither number nor hash. Pure."""
    record = {
        "chain": tenant,
        "seq": "",
        "at": row["received_at"],
        "actor_kind": "key",
        "actor_id": row["key"].hex,
        "actor_name": row["key_name"],
        "action": ACTION,
        "target_type": "model",
        "target_id": row["model"],
        "request": row["request"].hex,
        "address": "",
        "outcome": _OUTCOMES.get(row["outcome"], "failed"),
        "detail": {name: _plain(row[name]) for name in _TOLD if row[name] not in {None, ""}},
        "hash": "",
    }
    if form == "cef":
        return formats.cef(record, version)
    event = formats.ocsf(record, version)
    event["metadata"] = {name: value for name, value in event["metadata"].items() if name != "sequence"}
    event["metadata"] |= {"uid": record["request"]}
    event["unmapped"] = {"detail": record["detail"], "outcome": row["outcome"]}
    return json.dumps(event, sort_keys=True)


def _plain(value: Any) -> Any:
    return value.hex if isinstance(value, uuid.UUID) else value
