"""The messages of a chat in the engines' common form, each part of them checked: what is wrong is told before an engine sees it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ollamamax.kernel import errors

if TYPE_CHECKING:
    from ollamamax.gateway.openai.requests import Message


def message(given: Message) -> dict[str, Any]:
    """Raises `InvalidRequest`, and `Unsupported` for a part that no engine takes."""
    made: dict[str, Any] = msgspec.to_builtins(given)
    if isinstance(given.content, list):
        made["content"] = [_part(part) for part in given.content]
    elif given.content is None and not given.tool_calls:
        made["content"] = given.refusal or ""
    made.pop("refusal", None)
    for call in made.get("tool_calls", ()):
        if isinstance(arguments := call["function"].get("arguments", ""), dict):
            arguments = msgspec.json.encode(arguments).decode()
        call["function"]["arguments"] = arguments
    if given.role == "tool" and given.tool_call_id is None:
        raise errors.InvalidRequest("A message of a tool needs a 'tool_call_id'.", param="messages")
    return made


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str() as text} | {"type": "refusal", "refusal": str() as text}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str() as url}} | {
            "type": "image_url",
            "image_url": str() as url,
        }:
            return {"type": "image_url", "image_url": {"url": url}}
        case {"type": "text" | "refusal" | "image_url" as kind}:
            raise errors.InvalidRequest(f"A part of type '{kind}' is not well formed.", param="messages")
        case {"type": str() as kind}:
            raise errors.Unsupported(
                f"'messages' with a part of type '{kind[:64]}' is not supported by this server.", param="messages"
            )
    raise errors.InvalidRequest("Each part of a 'content' needs a 'type'.", param="messages")
