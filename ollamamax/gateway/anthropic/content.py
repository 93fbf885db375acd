"""Anthropic's messages as OpenAI's chat messages; the results of tools are messages of their own there. Pure.

What Anthropic itself ran or hid (its own tools, redacted thoughts) says nothing to another model: it is left out, and told.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from ollamamax.contract.ignored import Ignored
from ollamamax.kernel import errors

Block = dict[str, Any]
_OF_ANTHROPIC = frozenset(
    {
        *("redacted_thinking", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "fallback"),
        *("code_execution_tool_result", "bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
        *("tool_search_tool_result", "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing", "advisor_tool_result"),
        *("tool_reference", "browser_state", "compaction_delta"),
    }
)


def messages(role: str, content: str | list[Block], ignored: Ignored) -> list[dict[str, Any]]:
    """Raises `InvalidRequest` and `Unsupported`."""
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if role == "assistant":
        return [_assistant(content, ignored)]
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in content:
        if block.get("type") == "tool_result" and role == "user":
            results.append(_result(block, parts, ignored))
        else:
            parts += _parts(block, role, ignored)
    if not parts:
        # A message that held nothing but what was left out is still a turn; one of the system is none.
        return results or ([] if role == "system" else [{"role": role, "content": ""}])
    return [*results, {"role": role, "content": _joined(parts)}]


def _joined(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    plain = all(part["type"] == "text" for part in parts)
    return "\n".join(part["text"] for part in parts) if plain else parts


def _parts(block: Block, role: str, ignored: Ignored) -> list[dict[str, Any]]:
    """A block as parts of a message: text, and pictures of a user."""
    match block:
        case {"type": "text", "text": str() as said}:
            return [_said(said)]
        case {"type": "image", "source": dict() as source} if role == "user":
            return [{"type": "image_url", "image_url": {"url": _image(source)}}]
        case {"type": "document", "source": dict() as source}:
            return _document(block, source, role, ignored)
        case {"type": "search_result", "content": list() as found}:
            _tell_citations(block, ignored)
            head = [str(block[name]) for name in ("title", "source") if isinstance(block.get(name), str)]
            return [_said("\n".join([*head, text(found, "messages")]))]
        case {"type": "compaction", "content": str() as summary}:
            return [_said(summary)]
        case {"type": "compaction"} if block.get("content") is None:
            if block.get("encrypted_content"):
                raise errors.Unsupported("'messages' holds a summary that only Anthropic can read.", param="messages")
            ignored.add(["messages.compaction"])  # there was none to be made
            return []
        case {"type": "mid_conv_system", "content": list() as blocks} if all(isinstance(each, dict) for each in blocks):
            return [part for each in blocks for part in _parts(each, role, ignored)]
        case {"type": "tool_addition" | "tool_removal"}:
            return []  # they change what is offered: see `tool_changes`
        case {"type": str() as kind} if kind in _OF_ANTHROPIC:
            ignored.add([f"messages.{kind}"])
            return []
    raise _unknown(block, role)


def _tell_citations(block: Block, ignored: Ignored) -> None:
    """No engine says which words came from where."""
    if isinstance(asked := block.get("citations"), dict) and asked.get("enabled"):
        ignored.add(["messages.citations"])


def _said(text_: str) -> dict[str, Any]:
    return {"type": "text", "text": text_}


def _document(block: Block, source: dict[str, Any], role: str, ignored: Ignored) -> list[dict[str, Any]]:
    _tell_citations(block, ignored)
    head = [_said(str(block[name])) for name in ("title", "context") if isinstance(block.get(name), str)]
    match source:
        case {"type": "text", "data": str() as data}:
            return [*head, _said(data)]
        case {"type": "base64", "media_type": str() as kind, "data": str() as data} if kind.startswith("text/"):
            try:
                return [*head, _said(base64.b64decode(data, validate=True).decode())]
            except (binascii.Error, UnicodeDecodeError, ValueError):
                raise errors.InvalidRequest("A document is no text in base64.", param="messages") from None
        case {"type": "content", "content": str() as data}:
            return [*head, _said(data)]
        case {"type": "content", "content": list() as blocks}:
            if not all(isinstance(each, dict) for each in blocks):
                raise errors.InvalidRequest("The content of a document is a list of blocks.", param="messages")
            return head + [part for each in blocks for part in _parts(each, role, ignored)]
    given = source.get("media_type") or source.get("type")
    raise errors.Unsupported(
        f"'messages' with a document of type '{str(given)[:64]}' is not supported by this server: give its text.",
        param="messages",
    )


def _result(block: Block, parts: list[dict[str, Any]], ignored: Ignored) -> dict[str, Any]:
    """The message of a tool. Its pictures go into ``parts``, the user's message that follows: templates have none of a tool."""
    answered: Any = block.get("tool_use_id")
    content: Any = block.get("content") or ""
    if not isinstance(answered, str):
        raise _unknown(block, "user")
    if isinstance(content, str):
        found = [_said(content)]
    elif isinstance(content, list) and all(isinstance(each, dict) for each in content):
        found = [part for each in content for part in _parts(each, "user", ignored)]
    else:
        raise errors.InvalidRequest("The content of a tool_result is text or a list of blocks.", param="messages")
    said = "\n".join(part["text"] for part in found if part["type"] == "text")
    pictures = [part for part in found if part["type"] != "text"]
    parts += pictures
    if pictures and not said:
        said = "The result is the picture that follows."
    # The engines' form has no mark for a failure: it is said in words.
    return {"role": "tool", "tool_call_id": answered, "content": f"Error: {said}" if block.get("is_error") else said}


def _assistant(blocks: list[Block], ignored: Ignored) -> dict[str, Any]:
    texts: list[str] = []
    thinking: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        match block:
            case {"type": "thinking", "thinking": str() as thought}:
                thinking.append(thought)
            case {"type": "tool_use", "id": str() as id_, "name": str() as name, "input": dict() as given}:
                function = {"name": name, "arguments": msgspec.json.encode(given).decode()}
                calls.append({"id": id_, "type": "function", "function": function})
            case {"type": "thinking" | "tool_use"}:
                raise _unknown(block, "assistant")
            case _:
                texts += [part["text"] for part in _parts(block, "assistant", ignored)]
    made: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts)}
    if thinking:
        made["reasoning_content"] = "\n".join(thinking)
    if calls:
        made["tool_calls"] = calls
    return made


_BLOCKS = frozenset(
    {
        *("text", "image", "tool_use", "tool_result", "thinking", "document", "search_result", "compaction"),
        *("mid_conv_system", "tool_addition", "tool_removal"),
    }
)


def _unknown(block: Block, role: str) -> errors.OllamaMaxError:
    kind = block.get("type")
    if not isinstance(kind, str):
        return errors.InvalidRequest("Each block of a 'content' needs a 'type'.", param="messages")
    if kind in _BLOCKS:
        return errors.InvalidRequest(
            f"A block of type '{kind}' in a message of '{role}' is not well formed.", param="messages"
        )
    return errors.Unsupported(
        f"'messages' is not supported by this server with a block of type '{kind[:64]}'.", param="messages"
    )


def text(given: str | list[Any], name: str) -> str:
    """One text of text blocks."""
    if isinstance(given, str):
        return given
    texts: list[str] = []
    for block in given:
        match block:
            case {"type": "text", "text": str() as said}:
                texts.append(said)
            case {"type": str() as kind} if kind != "text":
                raise errors.Unsupported(
                    f"'{name}' is not supported by this server with a block of type '{kind[:64]}' where text is expected.",
                    param=name,
                )
            case _:
                raise errors.InvalidRequest(f"A block of '{name}' is not well formed.", param=name)
    return "\n".join(texts)


def _image(source: dict[str, Any]) -> str:
    match source:
        case {"type": "base64", "media_type": str() as media_type, "data": str() as data}:
            return f"data:{media_type};base64,{data}"
        case {"type": "url", "url": str() as url}:
            return url
    raise errors.Unsupported(
        f"'messages' is not supported by this server with an image from a source of type '{str(source.get('type'))[:64]}'.",
        param="messages",
    )
