"""The tools of a request in OpenAI's form: those that the client runs are offered, the others are left out by name. Pure."""

from __future__ import annotations

from typing import Any

from ollamamax.contract.ignored import Ignored
from ollamamax.kernel import errors

Tool = dict[str, Any]
Choice = str | dict[str, Any] | None


def offered(given: list[Tool] | None, choice: Choice, ignored: Ignored) -> tuple[list[Tool], Choice]:
    """The functions, and which of them must or may be called. Raises `InvalidRequest`."""
    found: list[Tool] = []
    if given is None and choice is None:
        return found, None
    for tool in given or ():
        match tool:
            case {"type": "function", "function": {"name": str() as name, **rest}} if name:
                _check(name, rest)
                found.append(tool)
            case {"type": str() as kind} if kind != "function":
                ignored.add([f"tools.{kind}"])
            case _:
                raise errors.InvalidRequest(
                    "Each of 'tools' has the type 'function' and a 'function' with a 'name'.", param="tools"
                )
    return chosen(found, choice, had_some=bool(given))


def _check(name: str, function: dict[Any, Any]) -> None:
    parameters, description = function.get("parameters"), function.get("description")
    if not isinstance(parameters, dict | None) or not isinstance(description, str | None):
        raise errors.InvalidRequest(f"The tool '{name[:64]}' is not well formed.", param="tools")


def chosen(found: list[Tool], choice: Choice, *, had_some: bool) -> tuple[list[Tool], Choice]:
    """``choice`` as the engines know it. Raises `InvalidRequest` for one that the tools do not allow."""
    names = {tool["function"]["name"] for tool in found}
    match choice:
        case None | "auto" | "none":
            return found, choice if found else None
        case "required":
            pass
        case {"type": "function", "function": {"name": str() as name}}:
            if name not in names:
                raise errors.InvalidRequest(
                    f"'tool_choice' names '{name[:64]}', which is none of 'tools'.", param="tool_choice"
                )
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list() as allowed},
        }:
            kept = {_name(each) for each in allowed}
            return chosen([tool for tool in found if tool["function"]["name"] in kept], mode, had_some=had_some)
        case {"type": str() as kind} if kind not in {"function", "allowed_tools"}:
            raise errors.Unsupported(
                f"'tool_choice' asks for a tool of type '{kind[:64]}', which this server does not run.",
                param="tool_choice",
            )
        case _:
            raise errors.InvalidRequest("'tool_choice' is auto, none, required or one function.", param="tool_choice")
    if not found:
        why = "all of 'tools' were left out: this server runs none" if had_some else "there are no 'tools'"
        raise errors.InvalidRequest(f"'tool_choice' asks for a call, and {why}.", param="tool_choice")
    return found, choice


def _name(allowed: Any) -> str | None:
    match allowed:
        case {"type": "function", "function": {"name": str() as name}} | {"type": "function", "name": str() as name}:
            return name
    return None
