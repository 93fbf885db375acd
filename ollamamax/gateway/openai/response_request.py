"""OpenAI's request to ``/v1/responses`` (https://platform.openai.com/docs/api-reference/responses) and what we make of it."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.gateway.openai.requests import IGNORED as IGNORED_IN_CHAT
from ollamamax.gateway.openai.requests import between, refuse
from ollamamax.kernel import errors


class Text(msgspec.Struct, forbid_unknown_fields=True):
    format: dict[str, Any] | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponseRequest(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = False
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = None
    # Ignored.
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    # What is kept of answers: see `kept`.
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
    # Refused.
    include: list[str] | None = None
    prompt: Any = None
    truncation: str | None = None
    top_logprobs: int | None = None
    max_tool_calls: int | None = None
    stream_options: dict[str, Any] | None = None


decoder = msgspec.json.Decoder(ResponseRequest)

IGNORED = {name: why for name, why in IGNORED_IN_CHAT.items() if name not in {"metadata", "store"}}
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "include": (None, []),
    "prompt": (None,),
    "truncation": (None, "disabled"),
    "top_logprobs": (None, 0),
    "max_tool_calls": (None,),
    "stream_options": (None, {}, {"include_obfuscation": False}),
}


def to_inference(request: ResponseRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    refuse(request, UNSUPPORTED)
    text, reasoning = request.text or Text(), request.reasoning or Reasoning()
    if text.verbosity not in (None, "medium"):
        raise _unsupported("text.verbosity")
    if reasoning.summary or reasoning.generate_summary:
        raise _unsupported("reasoning.summary")
    between("max_output_tokens", request.max_output_tokens, 1, 1 << 31)
    between("temperature", request.temperature, 0, 2)
    between("top_p", request.top_p, 0, 1)
    messages = _messages(request.input)
    if not messages:
        raise errors.InvalidRequest("'input' must not be empty.", param="input")
    if request.instructions:
        messages.insert(0, {"role": "system", "content": request.instructions})
    return Inference(
        kind="chat",
        messages=messages,
        tools=[_tool(tool) for tool in request.tools or []],
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        format=_format(text.format),
        think=reasoning.effort,
        options=Options(max_tokens=request.max_output_tokens, temperature=request.temperature, top_p=request.top_p),
    )


def _unsupported(name: str, why: str = "") -> errors.Unsupported:
    return errors.Unsupported(f"'{name}' is not supported by this server{why}.", param=name.partition(".")[0])


def _format(given: dict[str, Any] | None) -> str | dict[str, Any] | None:
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "schema": dict() as schema}:
            return schema
    raise errors.InvalidRequest(
        "'text.format' must be of type text, json_object, or json_schema with a schema.", param="text"
    )


def _tool(given: dict[str, Any]) -> dict[str, Any]:
    if given.get("type") != "function":
        raise _unsupported("tools", f": tools of type '{given.get('type')}' are run by OpenAI itself")
    if not isinstance(given.get("name"), str):
        raise errors.InvalidRequest("Each of 'tools' needs a 'name'.", param="tools")
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: given[name] for name in names if given.get(name) is not None}}


def _tool_choice(given: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    match given:
        case None | "auto" | "none" | "required":
            return given
        case {"type": "function", "name": str() as name}:
            return {"type": "function", "function": {"name": name}}
    raise _unsupported("tool_choice", " but as auto, none, required or one function")


def _messages(given: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As chat messages: what a model said, thought and called in one turn is one message there."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}] if given else []
    made: list[dict[str, Any]] = []
    turn: dict[str, Any] | None = None
    for item in given:
        match item:
            case {"type": "function_call_output", "call_id": str() as answered}:
                turn = None
                made.append({"role": "tool", "tool_call_id": answered, "content": _output(item.get("output"))})
            case {"type": "function_call" | "reasoning"} | {"role": "assistant"}:
                if turn is None:
                    turn = {"role": "assistant", "content": ""}
                    made.append(turn)
                _add(turn, item)
            case {"role": "user" | "system" | "developer" as role, "content": content} if _is_message(item):
                turn = None
                made.append({"role": role, "content": _content(content)})
            case _:
                raise _unsupported("input", f" with an item of type '{item.get('type', item.get('role'))}'")
    return made


def _is_message(item: dict[str, Any]) -> bool:
    return bool(item.get("type", "message") == "message")


def _add(turn: dict[str, Any], item: dict[str, Any]) -> None:
    """Add what the model produced to the message of its turn."""
    match item:
        case {"type": "function_call", "call_id": str() as id_, "name": str() as name, "arguments": str() as arguments}:
            call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            turn.setdefault("tool_calls", []).append(call)
        case {"type": "reasoning"}:
            if item.get("encrypted_content"):
                raise _unsupported("input", " with encrypted reasoning")
            texts = [part.get("text", "") for part in item.get("content") or []]
            turn["reasoning_content"] = turn.get("reasoning_content", "") + "".join(texts)
        case {"role": "assistant", "content": content} if _is_message(item):
            text = _content(content)
            if not isinstance(text, str):
                raise errors.InvalidRequest("A message of the assistant holds text only.", param="input")
            turn["content"] += text
        case _:
            raise errors.InvalidRequest(f"An item of type '{item.get('type')}' is not well formed.", param="input")


def _output(given: Any) -> str:
    text = _content(given)
    if not isinstance(text, str):
        raise _unsupported("input", " with an image in the output of a function")
    return text


def _content(given: Any) -> str | list[dict[str, Any]]:
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
            case {"type": "input_image", "image_url": str() as url}:
                parts.append({"type": "image_url", "image_url": {"url": url}})
            case _:
                kind = part.get("type") if isinstance(part, dict) else part
                raise _unsupported("input", f" with content of type '{kind}'")
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts
