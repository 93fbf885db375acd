"""CEF and OCSF of records: whatever text is in a record, the form holds and nothing of it becomes another field."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.audit.formats import as_text, ocsf

RECORD: dict[str, Any] = {
    "chain": "system", "seq": 7, "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC),
    "actor_kind": "user", "actor_id": "u1", "actor_name": "Ada", "action": "key.issue", "target_type": "key",
    "target_id": "k1", "request": "r1", "address": "203.0.113.7", "outcome": "ok", "detail": {"name": "ci"}, "hash": "ab",
}  # fmt: skip
FREE = ("actor_id", "actor_name", "target_type", "target_id", "request", "address")
_PAIR = re.compile(r"(?:^| )(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", re.DOTALL)


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """As its readers do: seven parts, then pairs."""
    *header, extension = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    unescaped = {"\\n": "\n", "\\r": "\r", "\\=": "=", "\\\\": "\\"}
    pairs = {
        name: re.sub(r"\\.", lambda each: unescaped[each.group()], value) for name, value in _PAIR.findall(extension)
    }
    return header, pairs


@given(st.fixed_dictionaries({name: st.text(max_size=30) for name in FREE}))
def test_no_text_leaves_its_field_or_its_line(texts: dict[str, str]) -> None:
    record = RECORD | texts | {"detail": {"said": texts["actor_name"]}}
    line = as_text(record, "cef", "1")
    assert len(line.splitlines()) == 1
    header, pairs = read_cef(line)
    assert header == ["CEF:0", "OllamaMax", "OllamaMax", "1", "key.issue", "key.issue", "3"]
    assert {"rt", "externalId", "outcome", "cs1", "cs2"} <= pairs.keys()
    assert (pairs["externalId"], pairs["outcome"], pairs["cs2"]) == ("7", "ok", "ab")
    assert len(as_text(record, "json", "1").splitlines()) == len(as_text(record, "ocsf", "1").splitlines()) == 1
    assert json.loads(as_text(record, "json", "1"))["actor_name"] == texts["actor_name"]


def test_cef_says_what_a_reader_looks_for() -> None:
    _, pairs = read_cef(as_text(RECORD, "cef", "1"))
    assert (pairs["rt"], pairs["suser"], pairs["src"], pairs["cs4"]) == ("1767323045678", "Ada", "203.0.113.7", "k1")
    _, pairs = read_cef(as_text(RECORD | {"address": "2001:db8::1"}, "cef", "1"))
    assert (pairs["c6a2"], "src" in pairs) == ("2001:db8::1", False)


@pytest.mark.parametrize(
    ("action", "outcome", "kind", "type_", "status"),
    [
        ("key.issue", "ok", 6003, 600301, 1),
        ("key.revoke", "ok", 6003, 600304, 1),
        ("model.unheard_of", "ok", 6003, 600399, 1),
        ("session.create", "ok", 3002, 300201, 1),
        ("session.refuse", "refused", 3002, 300201, 2),
        ("backup.fail", "failed", 6003, 600399, 2),
    ],
)
def test_ocsf_has_what_its_class_requires(action: str, outcome: str, kind: int, type_: int, status: int) -> None:
    event = ocsf(RECORD | {"action": action, "outcome": outcome}, "1")
    assert (event["class_uid"], event["type_uid"], event["status_id"]) == (kind, type_, status)
    needed = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "src_endpoint"}
    assert event.keys() >= needed | ({"user", "service"} if kind == 3002 else {"actor", "api"})
    assert event["metadata"]["version"] == "1.3.0"
    assert event["metadata"]["product"]["vendor_name"] == "OllamaMax"
