"""Audit records as other programs take them: CEF (ArcSight's Common Event Format, version 0) and OCSF (Open Cybersecurity Schema Framework, 1.3). Pure.

A record is a mapping of `FIELDS`, with what is personal opened already.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

RecordFormat = Literal["json", "cef", "ocsf"]
FIELDS: Final = (
    *("chain", "seq", "at", "actor_kind", "actor_id", "actor_name", "action", "target_type", "target_id"),
    *("request", "address", "outcome", "detail", "hash"),
)
SEVERITY = {"ok": 3, "refused": 6, "failed": 5}
"""Of CEF, from 0 to 10, by the outcome."""
OCSF_VERSION = "1.3.0"
API_ACTIVITY, AUTHENTICATION = (6, 6003), (3, 3002)
"""Category and class."""
LOGGING_IN = {"session.create": 1, "session.refuse": 1, "session.lock_out": 1, "session.end": 2}
"""Actions that are of the class Authentication, and their activity there: Logon or Logoff."""
ACTIVITIES = {
    **dict.fromkeys(("create", "add", "issue", "invite", "give", "make", "publish", "upload"), 1),
    **dict.fromkeys(("read", "view", "export", "download"), 2),
    **dict.fromkeys(("change", "move", "rotate", "rename", "set", "enable", "disable", "suspend", "resume"), 3),
    **dict.fromkeys(("delete", "remove", "revoke", "end", "retire", "erase_subject", "drop_partition"), 4),
}
"""The last word of an action to the activity of the class API Activity: Create, Read, Update, Delete; every other is 99, Other."""
_OTHER = 99
_OCSF_SEVERITY = {"ok": 1, "refused": 3, "failed": 3}


def as_text(record: Mapping[str, Any], form: RecordFormat, version: str) -> str:
    """One line without its end; ``version`` is that of this program."""
    if form == "cef":
        return cef(record, version)
    return json.dumps(plain(record) if form == "json" else ocsf(record, version), sort_keys=True)


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """As the API gives it, the time in UTC."""
    return {name: _utc(record[name]) if name == "at" else record[name] for name in FIELDS}


def cef(record: Mapping[str, Any], version: str) -> str:
    """``rt`` is in milliseconds since 1970; ``msg`` is the detail as JSON."""
    header = ("CEF:0", "OllamaMax", "OllamaMax", version, record["action"], record["action"])
    values: dict[str, Any] = {
        "rt": _milliseconds(record["at"]),
        "externalId": record["seq"],
        "outcome": record["outcome"],
        "suid": record["actor_id"],
        "suser": record["actor_name"],
        **_cef_address(record["address"]),
        "cs1Label": "chain",
        "cs1": record["chain"],
        "cs2Label": "hash",
        "cs2": record["hash"],
        "cs3Label": "target_type",
        "cs3": record["target_type"],
        "cs4Label": "target_id",
        "cs4": record["target_id"],
        "cs5Label": "request",
        "cs5": record["request"],
        "cs6Label": "actor_kind",
        "cs6": record["actor_kind"],
        "msg": json.dumps(record["detail"], sort_keys=True, ensure_ascii=False) if record["detail"] else "",
    }
    told = {name: value for name, value in values.items() if value != "" and not _labels_nothing(name, values)}
    extension = " ".join(f"{name}={_cef_value(str(value))}" for name, value in told.items())
    # The first field names the format, and is written as it is.
    escaped = [header[0], *(_cef_header(each) for each in header[1:])]
    return f"{'|'.join(escaped)}|{SEVERITY.get(record['outcome'], 5)}|{extension}"


def ocsf(record: Mapping[str, Any], version: str) -> dict[str, Any]:
    """An event of the class Authentication for log-ins and log-outs, else of API Activity. What has no place of its own is under ``unmapped``."""
    action, done = record["action"], record["outcome"] == "ok"
    logs_in = LOGGING_IN.get(action)
    category, kind = API_ACTIVITY if logs_in is None else AUTHENTICATION
    activity = ACTIVITIES.get(action.rpartition(".")[2], _OTHER) if logs_in is None else logs_in
    who = {"uid": record["actor_id"] or record["actor_kind"], "type": record["actor_kind"], "type_id": _OTHER}
    if record["actor_name"]:
        who["name"] = record["actor_name"]
    event: dict[str, Any] = {
        "activity_id": activity,
        "category_uid": category,
        "class_uid": kind,
        "type_uid": kind * 100 + activity,
        "time": _milliseconds(record["at"]),
        "severity_id": _OCSF_SEVERITY.get(record["outcome"], 1),
        "status_id": 1 if done else 2,
        "status_detail": record["outcome"],
        "message": action,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "OllamaMax", "vendor_name": "OllamaMax", "version": version},
            "uid": f"{record['chain']}/{record['seq']}",
            "sequence": record["seq"],
            "log_name": record["chain"],
        },
        "src_endpoint": _ocsf_endpoint(record["address"]),
        "unmapped": {"detail": record["detail"], "hash": record["hash"]},
    }
    if record["request"]:
        event["metadata"]["correlation_uid"] = record["request"]
    if logs_in is not None:
        return event | {"user": who, "service": {"name": "OllamaMax"}}
    return event | {
        "actor": {"user": who},
        "api": {"operation": action, "service": {"name": "OllamaMax"}},
        "resources": [{"type": record["target_type"], "uid": record["target_id"] or record["target_type"]}],
    }


def _utc(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).isoformat(timespec="microseconds")


def _milliseconds(at: datetime.datetime) -> int:
    since = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return since // datetime.timedelta(milliseconds=1)


def _labels_nothing(name: str, values: Mapping[str, Any]) -> bool:
    return name.endswith("Label") and values[name.removesuffix("Label")] == ""


def _cef_address(text: str) -> dict[str, str]:
    """``src`` is for IPv4 alone; the standard has another field for IPv6."""
    address = _address(text)
    if address is None:
        return {}
    return {"src": text} if address.version == 4 else {"c6a2Label": "source", "c6a2": text}


def _ocsf_endpoint(text: str) -> dict[str, str]:
    return {"ip": text} if _address(text) is not None else {"name": text or "unknown"}


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _cef_header(text: str) -> str:
    return _on_one_line(text.replace("\\", "\\\\").replace("|", "\\|"), " ", " ")


def _cef_value(text: str) -> str:
    return _on_one_line(text.replace("\\", "\\\\").replace("=", "\\="), "\\n", "\\r")


def _on_one_line(text: str, newline: str, back: str) -> str:
    """Without anything that a reader could take for the end of the line."""
    text = text.replace("\n", newline).replace("\r", back)
    return "".join(" " if each in "\v\f\x1c\x1d\x1e\x85\u2028\u2029\0" else each for each in text)
