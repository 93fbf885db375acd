"""The tools that a conversation has at its end: those that were given with it, less and more what its messages took away and added. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollamamax.contract.ignored import Ignored
from ollamamax.kernel import errors

Block = dict[str, Any]
Tool = dict[str, Any]
_CHANGES = ("tool_addition", "tool_removal")


def at_the_end(given: list[Tool], contents: list[Any], ignored: Ignored) -> list[Tool]:
    """``contents`` are those of the messages, in their order. Raises `InvalidRequest`."""
    gone: set[str] = set()
    defined: dict[str, Tool] = {}
    for change in (each for content in contents for each in _changes(content)):
        kind = change["type"]
        match change.get("tool"):
            case {"type": "tool_reference", "name": str() as name}:
                # A tool whose loading was put off is offered from the beginning here: only what was taken away comes back.
                (gone.add if kind == "tool_removal" else gone.discard)(name)
            case {"type": "tool_definition", "definition": dict() as tool} if kind == "tool_addition":
                defined[_name(tool)] = tool
                gone.discard(_name(tool))
            case {"type": "mcp_tool_reference" | "mcp_toolset_reference"}:
                ignored.add([f"messages.{kind}"])  # this server runs no tools
            case _:
                raise errors.InvalidRequest(f"A block of type '{kind}' is not well formed.", param="messages")
    offered = [tool for tool in given if _name(tool) not in defined]
    return [tool for tool in (*offered, *defined.values()) if _name(tool) not in gone]


def _name(tool: Tool) -> str:
    """Empty where it has none, which is told later."""
    name = tool.get("name")
    return name if isinstance(name, str) else ""


def _changes(content: Any) -> Iterator[Block]:
    """The changes among the blocks of a message, and in the blocks that hold some."""
    if not isinstance(content, list):
        return
    for block in content:
        match block:
            case {"type": str() as kind} if kind in _CHANGES:
                yield block
            case {"type": "mid_conv_system", "content": inner} | {"type": "compaction", "tool_changes": inner}:
                yield from _changes(inner)
