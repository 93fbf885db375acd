"""Messages of syslog (RFC 5424), framed for TLS (RFC 5425). Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from ollamamax.audit.formats import RecordFormat, as_text

AUDIT = 13
"""The facility ``log audit``."""
NOTICE, WARNING = 5, 4
NAME = "ollamamax"
MOST_SEQUENCE = 2_147_483_647
MOST_BYTES = 64 << 10
"""Of one message. A record whose text is longer is told without its detail."""
_NO_PRINT = re.compile(r"[^!-~]")


def message(record: Mapping[str, Any], form: RecordFormat, host: str, version: str) -> bytes:
    """One record. ``host`` is the name of this installation; MSGID is the action, and ``meta sequenceId`` the record's number."""
    text = as_text(record, form, version).encode()
    if len(text) > MOST_BYTES:
        text = as_text({**record, "detail": {"too_long": True}}, form, version).encode()
    severity = NOTICE if record["outcome"] == "ok" else WARNING
    at = record["at"].astimezone(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    number = (record["seq"] - 1) % MOST_SEQUENCE + 1
    header = f"<{AUDIT * 8 + severity}>1 {at} {_name(host, 255)} {NAME} - {_name(record['action'], 32)}"
    return f'{header} [meta sequenceId="{number}"] '.encode() + text


def framed(one: bytes) -> bytes:
    """With its length before it (RFC 5425, section 4.3)."""
    return b"%d " % len(one) + one


def _name(text: str, most: int) -> str:
    return _NO_PRINT.sub("-", text)[:most] or "-"
