"""Functions in namespaces, as which Codex offers the tools of MCP servers: an engine is told of each by one name. Pure."""

from __future__ import annotations

from typing import Any

from ollamamax.kernel import errors

Tool = dict[str, Any]
Places = dict[str, tuple[str, str]]
"""The names that the engine is told, and for each the namespace and the name in it."""
_BETWEEN = "__"


def joined(namespace: Any, name: str) -> str:
    """The name that the engine is told."""
    if not isinstance(namespace, str) or not namespace:
        return name
    return namespace + name if namespace.endswith(_BETWEEN) else namespace + _BETWEEN + name


def flattened(given: list[Tool] | None) -> list[Tool]:
    """The tools with those in namespaces beside the others. Raises `InvalidRequest`."""
    found: list[Tool] = []
    for tool in given or ():
        found += _inside(tool) if tool.get("type") == "namespace" else [tool]
    names = [tool.get("name") for tool in found if tool.get("type") == "function"]
    twice = {name for name in names if names.count(name) > 1} if len(found) > len(given or ()) else set()
    if twice:
        raise errors.InvalidRequest(
            f"Two of 'tools' would be called '{str(min(map(str, twice)))[:64]}'.", param="tools"
        )
    return found


def places(given: list[Tool] | None) -> Places:
    """Of tools that `flattened` has taken."""
    return {
        joined(tool["name"], each["name"]): (tool["name"], each["name"])
        for tool in given or ()
        if tool.get("type") == "namespace"
        for each in tool["tools"]
        if each.get("type") == "function"
    }


def _inside(tool: Tool) -> list[Tool]:
    match tool:
        case {"name": str() as namespace, "tools": list() as inside} if namespace and all(
            isinstance(each, dict) for each in inside
        ):
            return [_one(namespace, tool.get("description"), each) for each in inside]
    raise errors.InvalidRequest("A namespace in 'tools' has a 'name' and a list of 'tools'.", param="tools")


def _one(namespace: str, description: Any, tool: Tool) -> Tool:
    if tool.get("type") != "function":
        return {"type": f"namespace.{tool.get('type')}"}
    if not isinstance(tool.get("name"), str):
        raise errors.InvalidRequest("A function in a namespace has a 'name'.", param="tools")
    return {**tool, "name": joined(namespace, tool["name"]), "description": tool.get("description") or description}
