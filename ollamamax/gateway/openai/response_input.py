"""The items of a response's input as the messages of a chat. Pure.

What a model said, thought and called in one turn is one message there. Calls of tools that OpenAI runs itself are left out, and told.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.openai.namespaces import joined
from ollamamax.kernel import errors

Item = dict[str, Any]
_RUN_BY_OPENAI = frozenset(
    {
        *("file_search_call", "web_search_call", "image_generation_call", "code_interpreter_call", "mcp_list_tools"),
        *("mcp_approval_request", "mcp_approval_response", "mcp_call", "tool_search_call", "tool_search_output"),
        *("additional_tools", "configuration_update", "program", "program_output", "compaction_trigger"),
    }
)
_OF_OTHER_TOOLS = ("local_shell_call", "shell_call", "apply_patch_call", "computer_call", "custom_tool_call")
"""Calls that the client ran: they read as calls of a function. Their results are of the same type with ``_output``."""


def messages(given: str | list[Item], ignored: Ignored) -> list[Item]:
    """Raises `InvalidRequest` and `Unsupported`."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}] if given else []
    made: list[Item] = []
    turn: Item | None = None
    for item in given:
        kind = item.get("type") or ("item_reference" if "role" not in item and "id" in item else "message")
        if not isinstance(kind, str):
            raise errors.InvalidRequest("The 'type' of an item is a text.", param="input")
        if kind in _RUN_BY_OPENAI or (kind == "context_compaction" and not item.get("encrypted_content")):
            ignored.add([f"input.{kind}"])
        elif kind == "agent_message":
            turn = None
            made += _told_by(item.get("author"), _content(item.get("content"), ignored))
        elif kind == "function_call_output" or (
            kind.removesuffix("_output") in _OF_OTHER_TOOLS and kind.endswith("_output")
        ):
            turn = None
            made += _result(item, ignored)
        elif kind in {"function_call", "reasoning", *_OF_OTHER_TOOLS} or (
            kind == "message" and item.get("role") == "assistant"
        ):
            if turn is None:
                turn = {"role": "assistant", "content": ""}
                made.append(turn)
            _add(turn, item, ignored)
        else:
            match item:
                case {"role": "user" | "system" | "developer" as role, "content": content} if kind == "message":
                    turn = None
                    made.append({"role": role, "content": _content(content, ignored)})
                case {"role": "user" | "system" | "developer"} if kind == "message":
                    raise errors.InvalidRequest("A message needs a 'content'.", param="input")
                case _:
                    named = kind if kind != "message" else item.get("role")
                    raise _unsupported(f" with an item of type '{str(named)[:64]}'")
    return made


def _unsupported(why: str) -> errors.Unsupported:
    return errors.Unsupported(f"'input' is not supported by this server{why}.", param="input")


def _add(turn: Item, item: Item, ignored: Ignored) -> None:
    """Add what the model produced to the message of its turn."""
    match item:
        case {"type": "function_call", "call_id": str() as id_, "name": str() as name, "arguments": str() as arguments}:
            _call(turn, id_, joined(item.get("namespace"), name), arguments)
        case {"type": "custom_tool_call", "call_id": str() as id_, "name": str() as name, "input": str() as text}:
            _call(turn, id_, name, msgspec.json.encode({"input": text}).decode())
        case {"type": str() as kind} if kind in _OF_OTHER_TOOLS and (given := _call_id(item)):
            asked = item.get("action") or item.get("operation") or item.get("actions") or {}
            _call(turn, given, kind.removesuffix("_call"), msgspec.json.encode(asked).decode())
        case {"type": "reasoning"}:
            parts = item.get("content") or item.get("summary") or []
            if not isinstance(parts, list):
                raise errors.InvalidRequest("The 'summary' and 'content' of reasoning are lists.", param="input")
            if item.get("encrypted_content"):
                ignored.add(["input.encrypted_content"])  # only who encrypted them can read them
            texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
            turn["reasoning_content"] = turn.get("reasoning_content", "") + "".join(texts)
        case {"role": "assistant", "content": content}:
            said = _content(content, ignored)
            if not isinstance(said, str):
                raise errors.InvalidRequest("A message of the assistant holds text only.", param="input")
            turn["content"] += said
        case _:
            raise errors.InvalidRequest(
                f"An item of type '{str(item.get('type'))[:64]}' is not well formed.", param="input"
            )


def _call_id(item: Item) -> str | None:
    """What a call and its result share: those of a local shell may have an ``id`` alone."""
    names = ("call_id", "id") if str(item.get("type")).startswith("local_shell_call") else ("call_id",)
    return next((given for name in names if isinstance(given := item.get(name), str) and given), None)


def _told_by(name: Any, content: str | list[Item]) -> list[Item]:
    """What somebody else says who has no role in a chat, such as another agent: a message of the user, which names them."""
    head = f"{name}: " if isinstance(name, str) and name else ""
    if isinstance(content, list):
        return [{"role": "user", "content": [{"type": "text", "text": head}, *content] if head else content}]
    return [{"role": "user", "content": head + content}] if content else []


def _call(turn: Item, id_: str, name: str, arguments: str) -> None:
    function = {"name": name, "arguments": arguments}
    turn.setdefault("tool_calls", []).append({"id": id_, "type": "function", "function": function})


def _result(item: Item, ignored: Ignored) -> list[Item]:
    """The message of a tool; pictures in it are a message of the user that follows, as templates have none of a tool."""
    answered = _call_id(item)
    if answered is None and isinstance(item.get("name"), str):
        return _told_by(item["name"], _content(_output(item), ignored))  # a tool spoke without being called
    if answered is None:
        raise errors.InvalidRequest(f"An item of type '{str(item.get('type'))[:64]}' needs a 'call_id'.", param="input")
    content = _content(_output(item), ignored)
    if isinstance(content, str):
        return [{"role": "tool", "tool_call_id": answered, "content": content}]
    text = "\n".join(part["text"] for part in content if part["type"] == "text")
    images = [part for part in content if part["type"] != "text"]
    return [
        {"role": "tool", "tool_call_id": answered, "content": text or "The result is the picture that follows."},
        {"role": "user", "content": images},
    ]


def _output(item: Item) -> Any:
    """Text or parts. What a shell printed, a screen's picture and the like have forms of their own: they are told as JSON."""
    match item:
        case {"type": "apply_patch_call_output"} if item.get("output") is None:
            return str(item.get("status") or "")
        case {"output": {"type": "computer_screenshot", "image_url": str() as url}}:
            return [{"type": "input_image", "image_url": url}]
        case {"type": "shell_call_output", "output": list() as given} | {"output": dict() as given}:
            return msgspec.json.encode(given).decode()
    return item.get("output")


def _content(given: Any, ignored: Ignored) -> str | list[dict[str, Any]]:
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise errors.InvalidRequest("The 'content' of an item must be text or a list of parts.", param="input")
    parts: list[dict[str, Any]] = []
    for part in given:
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str() as text}:
                parts.append({"type": "text", "text": text})
            case {"type": "refusal", "refusal": str() as text}:
                parts.append({"type": "text", "text": text})
            case {"type": "encrypted_content"}:
                ignored.add(["input.encrypted_content"])
            case {"type": "input_image", "image_url": str() as url}:
                parts.append({"type": "image_url", "image_url": {"url": url}})
            case {"type": "input_text" | "output_text" | "text" | "refusal" as kind}:
                raise errors.InvalidRequest(f"A part of type '{kind}' is not well formed.", param="input")
            case {"type": str() as kind}:
                raise _unsupported(f" with content of type '{kind[:64]}'")
            case _:
                raise errors.InvalidRequest("Each part of a 'content' needs a 'type'.", param="input")
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts
