"""Anthropic's messages request (https://docs.anthropic.com/en/api/messages) and what we make of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.kernel import errors


class Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """``budget_tokens`` is taken and changes nothing: the engines have no such limit."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: str | None = None


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    format: dict[str, Any] | None = None
    effort: str | None = None


class CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What makes up the prompt."""

    model: str
    messages: list[Message]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    # Ignored.
    cache_control: dict[str, Any] | None = None
    # Refused.
    container: Any = None
    context_management: Any = None
    mcp_servers: list[Any] | None = None
    diagnostics: Any = None
    inference_geo: str | None = None
    speed: str | None = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


class MessagesRequest(CountRequest, kw_only=True, forbid_unknown_fields=True):
    max_tokens: int
    stream: bool | None = False
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    # Ignored.
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


decoder = msgspec.json.Decoder(MessagesRequest)
count_decoder = msgspec.json.Decoder(CountRequest)

IGNORED = {
    "cache_control": "the engines keep their prompts by themselves",
    "metadata": "for Anthropic's own accounting",
    "service_tier": "for Anthropic's own accounting",
    "thinking.budget_tokens": "the engines have no such limit",
}
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "container": (None,),
    "context_management": (None,),
    "mcp_servers": (None, []),
    "diagnostics": (None,),
    "inference_geo": (None,),
    "speed": (None, "standard"),
    "user_profile_id": (None,),
    "workspace_id": (None,),
}


def to_inference(request: MessagesRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    inference = count_inference(request)
    inference.kind = "chat"
    _between("max_tokens", request.max_tokens, 1, 1 << 31)
    _between("temperature", request.temperature, 0, 1)
    _between("top_p", request.top_p, 0, 1)
    _between("top_k", request.top_k, 0, 1 << 31)
    inference.options = Options(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop_sequences or [],
    )
    return inference


def count_inference(request: CountRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    for name, harmless in UNSUPPORTED.items():
        if getattr(request, name) not in harmless:
            raise _unsupported(name)
    if not request.messages:
        raise errors.InvalidRequest("'messages' must hold at least one message.", param="messages")
    messages = [{"role": "system", "content": _text(request.system, "system")}] if request.system else []
    for message in request.messages:
        messages += _messages(message)
    choice = request.tool_choice
    output = request.output_config or OutputConfig()
    return Inference(
        kind="count",
        messages=messages,
        tools=[_tool(tool) for tool in request.tools or []],
        tool_choice=_tool_choice(choice) if choice else None,
        parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
        format=_format(output.format),
        think=_think(request.thinking, output.effort),
    )


def _unsupported(name: str, why: str = "") -> errors.Unsupported:
    return errors.Unsupported(f"'{name}' is not supported by this server{why}.", param=name)


def _between(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise errors.InvalidRequest(f"'{name}' must be between {least} and {most}; it is {value}.", param=name)


def _think(thinking: Thinking | None, effort: str | None) -> bool | str | None:
    kind = thinking.type if thinking else None
    if effort is not None and (kind != "enabled" or effort not in {"low", "medium", "high"}):
        raise _unsupported("output_config.effort", " but as low, medium or high with 'thinking' enabled")
    if kind == "enabled":
        return effort or True
    return False if kind == "disabled" else None


def _format(given: dict[str, Any] | None) -> dict[str, Any] | None:
    match given:
        case None:
            return None
        case {"type": "json_schema", "schema": dict() as schema}:
            return schema
    raise errors.InvalidRequest(
        "'output_config.format' must be of type json_schema, with a schema.", param="output_config"
    )


def _tool(given: dict[str, Any]) -> dict[str, Any]:
    """As an OpenAI tool. Those that Anthropic itself runs have a type of their own."""
    if given.get("type", "custom") != "custom":
        raise _unsupported("tools", f": the tool type '{given['type']}' is run by Anthropic itself")
    match given:
        case {"name": str() as name, "input_schema": dict() as schema}:
            function: dict[str, Any] = {"name": name, "parameters": schema}
        case _:
            raise errors.InvalidRequest("Each of 'tools' needs a 'name' and an 'input_schema'.", param="tools")
    for field in ("description", "strict"):
        if given.get(field) is not None:
            function[field] = given[field]
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    match choice.type:
        case "any":
            return "required"
        case "tool":
            if not choice.name:
                raise errors.InvalidRequest("A 'tool_choice' of type 'tool' needs a 'name'.", param="tool_choice")
            return {"type": "function", "function": {"name": choice.name}}
    return choice.type


def _messages(message: Message) -> list[dict[str, Any]]:
    """As OpenAI's chat messages; the results of tools are messages of their own there."""
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content}]
    if message.role == "assistant":
        return [_assistant(message.content)]
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in message.content:
        match block:
            case {"type": "text", "text": str() as text}:
                parts.append({"type": "text", "text": text})
            case {"type": "image", "source": dict() as source} if message.role == "user":
                parts.append({"type": "image_url", "image_url": {"url": _image(source)}})
            case {"type": "tool_result", "tool_use_id": str() as answered} if message.role == "user":
                text = _text(block.get("content") or "", "messages")
                # The engines' form has no mark for a failure: it is said in words.
                content = f"Error: {text}" if block.get("is_error") else text
                results.append({"role": "tool", "tool_call_id": answered, "content": content})
            case _:
                raise _unknown(block, message.role)
    if not parts:
        return results
    plain = all(part["type"] == "text" for part in parts)
    content_: Any = "\n".join(part["text"] for part in parts) if plain else parts
    return [*results, {"role": message.role, "content": content_}]


def _assistant(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    texts: list[str] = []
    thinking: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        match block:
            case {"type": "text", "text": str() as text}:
                texts.append(text)
            case {"type": "thinking", "thinking": str() as text}:
                thinking.append(text)
            case {"type": "tool_use", "id": str() as id_, "name": str() as name, "input": dict() as given}:
                function = {"name": name, "arguments": msgspec.json.encode(given).decode()}
                calls.append({"id": id_, "type": "function", "function": function})
            case _:
                raise _unknown(block, "assistant")
    made: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts)}
    if thinking:
        made["reasoning_content"] = "\n".join(thinking)
    if calls:
        made["tool_calls"] = calls
    return made


_BLOCKS = {"text", "image", "tool_use", "tool_result", "thinking"}


def _unknown(block: dict[str, Any], role: str) -> errors.OllamaMaxError:
    kind = block.get("type")
    if kind in _BLOCKS:
        return errors.InvalidRequest(
            f"A block of type '{kind}' in a message of '{role}' is not well formed.", param="messages"
        )
    return _unsupported("messages", f" with a block of type '{kind}'")


def _text(given: str | list[Any], name: str) -> str:
    """One text of text blocks."""
    if isinstance(given, str):
        return given
    texts: list[str] = []
    for block in given:
        match block:
            case {"type": "text", "text": str() as text}:
                texts.append(text)
            case _:
                kind = block.get("type") if isinstance(block, dict) else block
                raise _unsupported(name, f" with a block of type '{kind}' where text is expected")
    return "\n".join(texts)


def _image(source: dict[str, Any]) -> str:
    match source:
        case {"type": "base64", "media_type": str() as media_type, "data": str() as data}:
            return f"data:{media_type};base64,{data}"
        case {"type": "url", "url": str() as url}:
            return url
    raise _unsupported("messages", f" with an image from a source of type '{source.get('type')}'")
