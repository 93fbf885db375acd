"""Writes the messages and topics of the live socket as TypeScript: ``python -m dashboard.typescript > frontend/src/live/types.ts``."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from dashboard import messages
from dashboard.topics import TOPICS

HEADER = "// Generated from dashboard/messages.py and dashboard/payloads.py by `python -m dashboard.typescript`; a test compares them.\n"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def declarations() -> str:
    """The text of ``frontend/src/live/types.ts``."""
    kinds = [kind for topic in TOPICS.values() for kind in (topic.shown, topic.change)]
    _, components = msgspec.json.schema_components(
        [messages.FromClient, messages.ToClient, *kinds], ref_template="{name}"
    )
    topics = "".join(
        f"  {topic.name}: {{ shown: {topic.shown.__name__}; change: {topic.change.__name__} }}\n"
        for topic in TOPICS.values()
    )
    to_client = " | ".join(kind.__name__ for kind in messages.ToClient.__args__)
    return (
        HEADER
        + "".join(_declaration(name, schema) for name, schema in sorted(components.items()))
        + f"\n/** What a subscription begins with, and what its events tell. */\nexport interface Topics {{\n{topics}}}\n"
        + f"\nexport type FromServer = {to_client}\n"
    )


def _declaration(name: str, schema: dict[str, Any]) -> str:
    required = set(schema["required"])
    fields = "".join(
        f"  {field}{'' if field in required else '?'}: {_type(value)}\n"
        for field, value in schema["properties"].items()
    )
    return f"\nexport interface {name} {{\n{fields}}}\n"


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(name)}:
            return name
        case {"enum": list(values)}:
            return " | ".join(f"'{value}'" for value in values)
        case {"anyOf": list(choices)}:
            return " | ".join(_type(choice) for choice in choices)
        case {"type": "array", "items": dict(item)}:
            inner = _type(item)
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case {"type": "object", "additionalProperties": dict(value)}:
            return f"Record<string, {_type(value)}>"
        case {"type": str(name)} if name in _PLAIN:
            return _PLAIN[name]
        case {} if not schema.keys() - {"description", "title"}:
            return "unknown"
    raise ValueError(f"no TypeScript for {schema}")


if __name__ == "__main__":
    sys.stdout.write(declarations())
