"""Fewer operations for the same patch of a group: each costs a pass over all members, and directories send one for each member. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from scim2_models import InvalidValueException

MOST_OF_GROUP, MOST_OF_USER = 20, 200
"""Operations of one patch, once those are one that stand together and do the same."""
_ONE = re.compile(r'members\[\s*value\s+eq\s+"([^"\\]*)"\s*\]', re.IGNORECASE)


def fewer_operations(path: str, body: bytes) -> bytes:
    """The body of a ``PATCH`` of ``path``, or of a bulk request, that does the same. What cannot be read is left to who reads it.

    Raises `InvalidValueException` for more operations than are done.
    """
    try:
        message = json.loads(body)
    except ValueError:
        return body
    changed = False
    for place, patch in _patches(path, message):
        is_group = place.strip("/").lower().startswith("groups")
        operations = _joined(patch["Operations"]) if is_group else patch["Operations"]
        most = MOST_OF_GROUP if is_group else MOST_OF_USER
        if len(operations) > most:
            raise InvalidValueException(
                detail=f"A patch has at most {most} operations; members that are added or removed one after another count as one."
            )
        if len(operations) < len(patch["Operations"]):
            patch["Operations"], changed = operations, True
    return json.dumps(message).encode() if changed else body


def _patches(path: str, message: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each patch of the request, with the address that it is of."""
    if not isinstance(message, dict) or not isinstance(message.get("Operations"), list):
        return
    if path.strip("/").lower() != "bulk":
        yield path, message
        return
    for each in message["Operations"]:
        if isinstance(each, dict) and str(each.get("method", "")).upper() == "PATCH":
            data = each.get("data")
            if isinstance(data, dict) and isinstance(data.get("Operations"), list):
                yield str(each.get("path", "")), data


def _joined(operations: list[Any]) -> list[Any]:
    found: list[Any] = []
    kind = ""
    for each in operations:
        doing, members = _of_members(each)
        if doing and doing == kind:
            found[-1]["value"] += members
        else:
            found.append({"op": doing, "path": "members", "value": members} if doing else each)
        kind = doing
    # One by itself stays as it came: what is wrong with it is told in its own words.
    if len(found) == len(operations):
        return operations
    return found


def _of_members(operation: Any) -> tuple[str, list[Any]]:
    """Whether it adds or removes members by their names, and which; empty for another one."""
    if not isinstance(operation, Mapping):
        return "", []
    doing, path, value = (operation.get(name) for name in ("op", "path", "value"))
    doing = doing.lower() if isinstance(doing, str) else ""
    if not isinstance(path, str) or doing not in ("add", "remove"):
        return "", []
    if doing == "remove" and value is None and (one := _ONE.fullmatch(path.strip())) is not None:
        return doing, [{"value": one[1]}]
    members: list[Any] = value if isinstance(value, list) else [value]
    if path.strip().lower() != "members" or not members or not all(_names_one(each) for each in members):
        return "", []
    return doing, [dict(each) for each in members]


def _names_one(member: Any) -> bool:
    return isinstance(member, Mapping) and isinstance(member.get("value"), str) and bool(member["value"])
