"""Anthropic's messages request (https://docs.anthropic.com/en/api/messages) and what we make of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.contract.fields import Fields, Loose, RefusedField, Translated
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.anthropic import content, tool_changes
from ollamamax.gateway.asked import Asked, Notes
from ollamamax.gateway.openai import tools
from ollamamax.kernel import errors


class AnthropicMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Only one of the system may have no ``content``; ``clear_at`` says how long it is shown."""

    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]] | None = None
    clear_at: Literal["next_user_message", "never"] | None = None


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, forbid_unknown_fields=True):
    """``adaptive`` and ``between_tools`` leave it to the model whether it thinks."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    format: dict[str, Any] | None = None
    effort: str | None = None


class CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What makes up the prompt."""

    model: str
    messages: list[AnthropicMessage]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    user_id: Any = None


class MessagesRequest(CountRequest, kw_only=True, forbid_unknown_fields=True):
    max_tokens: int
    stream: bool | None = False
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Metadata | None = None


_ACCOUNTING = "for Anthropic's own accounting"
_CACHES = "the engines keep their prompts by themselves"
_WHOLE = "the whole conversation is used as it was sent"
_COUNT_IGNORED: dict[str, str] = {
    "cache_control": _CACHES,
    "context_management": _WHOLE,
    "diagnostics": "it asks what Anthropic's caches missed",
    "speed": "the engines are as quick as they can be",
    "user_profile_id": _ACCOUNTING,
    "workspace_id": _ACCOUNTING,
    "betas": "what they switch on is answered, or refused by the field that asks for it",
    "thinking.budget_tokens": "the engines have no such limit",
    "thinking.display": "thoughts come as they are",
    "thinking.block_binding": "thoughts are bound to nothing here",
    "output_config.task_budget": "the engines have no such limit",
    "messages.output_config": "the effort of the request counts for all of it",
}


def _output_format(body: Loose, value: Any) -> None:
    config = body.get("output_config")
    body["output_config"] = {"format": value, **(config if isinstance(config, dict) else {})}


_TRANSLATED = {"output_format": Translated("`output_config.format`", _output_format)}


def _no_thread(body: Loose, value: Any) -> None:
    """Anthropic's own programs know this code, and go on by sending the whole conversation."""
    raise errors.Unsupported(
        "'thread' is not supported by this server: it keeps no conversations; send all messages.",
        param="thread",
        details={"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
    )


_REFUSED = {
    "container": RefusedField("this server runs no programs of clients"),
    "mcp_servers": RefusedField("this server runs no tools", ([],)),
    "compaction": RefusedField("only Anthropic can read what it would make"),
    "inference_geo": RefusedField("a tenant's own rules say where its requests run", ("not_available",)),
}
COUNT_FIELDS = Fields(
    CountRequest,
    _COUNT_IGNORED | {"thread": "only the messages that were sent are counted", "max_tokens": "nothing is generated"},
    _REFUSED,
    _TRANSLATED,
)
FIELDS = Fields(
    MessagesRequest,
    _COUNT_IGNORED
    | {
        "service_tier": _ACCOUNTING,
        "billing_policy": _ACCOUNTING,
        "fallback_credit_token": _ACCOUNTING,
        "fallbacks": "a model's fallbacks are set on the server",
    },
    _REFUSED,
    _TRANSLATED | {"thread": Translated("an error whose code Anthropic's programs know", _no_thread)},
)


def parse(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = FIELDS.parse(body, notes.ignored, strict=notes.strict)
    notes.take(request.model, request.metadata.user_id if request.metadata is not None else None)
    inference = to_inference(request, notes.ignored)
    return Asked(model=request.model, inferences=[inference], body=request, stream=bool(request.stream))


def parse_count(body: bytes, notes: Notes) -> Asked:
    """Of a message whose tokens are to be counted. Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = COUNT_FIELDS.parse(body, notes.ignored, strict=notes.strict)
    notes.take(request.model)
    return Asked(model=request.model, inferences=[count_inference(request, notes.ignored)], may_fall_back=False)


def to_inference(request: MessagesRequest, ignored: Ignored) -> Inference:
    """With no tokens to make, the prompt is read into the engine's cache: engines make one, which is not shown.

    Raises `InvalidRequest` or `Unsupported`, naming the parameter.
    """
    inference = count_inference(request, ignored)
    inference.kind = "chat"
    _between("max_tokens", request.max_tokens, 0, (1 << 31) - 1)
    if request.max_tokens == 0:
        inference.format = None
        inference.tool_choice = "none" if inference.tool_choice == "none" else None
    _between("temperature", request.temperature, 0, 1)
    _between("top_p", request.top_p, 0, 1)
    _between("top_k", request.top_k, 0, (1 << 31) - 1)
    inference.options = Options(
        max_tokens=max(1, request.max_tokens),
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        # An empty text stands everywhere, and stops nothing.
        stop=[each for each in request.stop_sequences or () if each],
    )
    return inference


def count_inference(request: CountRequest, ignored: Ignored) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    if not request.messages:
        raise errors.InvalidRequest("'messages' must hold at least one message.", param="messages")
    messages = [{"role": "system", "content": content.text(request.system, "system")}] if request.system else []
    last = max((at for at, each in enumerate(request.messages) if each.role == "user"), default=-1)
    for at, message in enumerate(request.messages):
        if message.content is None and message.role != "system":
            raise errors.InvalidRequest(f"A message of '{message.role}' needs a 'content'.", param="messages")
        if message.content is None or (message.clear_at == "next_user_message" and at < last):
            continue
        messages += content.messages(message.role, message.content, ignored)
    choice = request.tool_choice
    output = request.output_config or OutputConfig()
    think, is_wish = _think(request.thinking, output.effort)
    contents = [message.content for message in request.messages]
    given = [_tool(tool) for tool in tool_changes.at_the_end(request.tools or [], contents, ignored)]
    offered, chosen = tools.offered(given, _tool_choice(choice) if choice else None, ignored)
    return Inference(
        kind="count",
        messages=messages,
        tools=offered,
        tool_choice=chosen,
        parallel_tool_calls=False if offered and choice and choice.disable_parallel_tool_use else None,
        format=_format(output.format),
        think=think,
        think_if_able=is_wish,
    )


def _between(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise errors.InvalidRequest(f"'{name}' must be between {least} and {most}; it is {value}.", param=name)


_LEVELS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def _think(thinking: Thinking | None, effort: str | None) -> tuple[bool | str | None, bool]:
    """Whether and how much to think, and whether a model that cannot may answer without.

    Anthropic's programs ask every model that they do not know to think, so that it is a wish.
    """
    kind = thinking.type if thinking else None
    if effort is not None and effort not in _LEVELS:
        raise errors.InvalidRequest(
            f"'output_config.effort' must be one of {', '.join(_LEVELS)}.", param="output_config.effort"
        )
    level = _LEVELS[effort] if effort is not None else None
    if kind == "disabled":
        return False, False
    if kind == "enabled":
        return level or True, True
    return level, level is not None


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
    """As an OpenAI tool. Those that have a type of their own are known to Anthropic's models alone, and are left out."""
    if (kind := given.get("type") or "custom") != "custom":
        return {"type": kind if kind != "function" else "function?"}
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
