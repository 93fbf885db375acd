"""Writes the live payloads as TypeScript: ``python -m dashboard.typescript > frontend/src/live/types.ts``."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from dashboard.payloads import Message

HEADER = "// Generated from dashboard/payloads.py by `python -m dashboard.typescript`; a test compares them.\n"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def declarations() -> str:
    """The text of ``frontend/src/live/types.ts``."""
    _, components = msgspec.json.schema_components([Message], ref_template="{name}")
    return (
        HEADER
        + "".join(_declaration(name, schema) for name, schema in sorted(components.items()))
        + ("\nexport type Message = Snapshot | Frame\n")
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
    raise ValueError(f"no TypeScript for {schema}")


if __name__ == "__main__":
    sys.stdout.write(declarations())
