"""OpenAI's request to ``/v1/responses`` (https://platform.openai.com/docs/api-reference/responses) and what we make of it."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.contract.fields import Fields, RefusedField
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.asked import Asked, Notes
from ollamamax.gateway.openai import namespaces, response_input, tools
from ollamamax.gateway.openai.noted import Noted, note
from ollamamax.gateway.openai.requests import IGNORED as IGNORED_IN_CHAT
from ollamamax.gateway.openai.requests import MOST_TOKENS, between, effort
from ollamamax.kernel import errors


class Text(msgspec.Struct, forbid_unknown_fields=True):
    format: dict[str, Any] | None = None


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    effort: str | None = None


class ResponseRequest(Noted, kw_only=True, forbid_unknown_fields=True):
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
    include: list[str] | None = None
    service_tier: str | None = None
    # What is kept of answers: see `kept`.
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None


_HOSTED = "this server runs no tools"
FIELDS = Fields(
    ResponseRequest,
    {name: why for name, why in IGNORED_IN_CHAT.items() if "." not in name and name != "store"}
    | {
        "stream_options": "it is about padding of the stream",
        "text.verbosity": "a hint for models that were trained on it, which none of ours was",
        "reasoning.summary": "thoughts come as they are",
        "reasoning.generate_summary": "thoughts come as they are",
        "reasoning.context": "thoughts of earlier turns are used as they were sent",
        "reasoning.mode": "the engines think in one way",
        "max_tool_calls": _HOSTED,
        "image": _HOSTED,
        "client_metadata": "for OpenAI's own accounting",
        "access_programs": "for OpenAI's own models",
        "background_options": "a response in the background is made as soon as there is room",
        "context_management": "the whole conversation is used",
    },
    {
        "prompt": RefusedField("prompts are kept by the client"),
        "truncation": RefusedField("an input is taken whole or refused", ("disabled",)),
        "top_logprobs": RefusedField("ask /v1/chat/completions for them", (0,)),
        "moderation": RefusedField("no model here moderates"),
    },
)
_LOGPROBS = "message.output_text.logprobs"


def parse(body: bytes, notes: Notes) -> Asked:
    """Without its inference, which also depends on what it goes on from (`kept`)."""
    return _asked(FIELDS.parse(body, notes.ignored, strict=notes.strict), notes)


def parse_count(body: bytes, notes: Notes) -> Asked:
    """Of one whose input is to be counted, and nothing kept."""
    request = FIELDS.parse(body, notes.ignored, strict=notes.strict)
    return _asked(msgspec.structs.replace(request, store=False, background=False, stream=False), notes)


def _asked(request: ResponseRequest, notes: Notes) -> Asked:
    affinity = note(notes, request.model, request)
    return Asked(
        model=request.model,
        inferences=[],
        body=request,
        stream=bool(request.stream),
        tier=request.service_tier,
        affinity=affinity,
    )


def to_inference(request: ResponseRequest, ignored: Ignored) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    text, reasoning = request.text or Text(), request.reasoning or Reasoning()
    if _LOGPROBS in (request.include or ()):
        raise _unsupported("include", f" with {_LOGPROBS}")
    ignored.add(f"include.{each}" for each in request.include or ())
    between("max_output_tokens", request.max_output_tokens, 1, MOST_TOKENS)
    between("temperature", request.temperature, 0, 2)
    between("top_p", request.top_p, 0, 1)
    messages = response_input.messages(request.input, ignored)
    if not messages:
        raise errors.InvalidRequest("'input' must not be empty.", param="input")
    if request.instructions:
        messages.insert(0, {"role": "system", "content": request.instructions})
    offered, choice = tools.offered(
        [_tool(tool) for tool in namespaces.flattened(request.tools)], _choice(request.tool_choice), ignored
    )
    think = effort("reasoning.effort", reasoning.effort)
    return Inference(
        kind="chat",
        messages=messages,
        tools=offered,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls if offered else None,
        format=_format(text.format),
        think=think,
        think_if_able=bool(think),
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
    """As in a chat. What OpenAI runs itself stays as it is, and is left out there."""
    if given.get("type") != "function":
        return given
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: given[name] for name in names if given.get(name) is not None}}


def _choice(given: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """As in a chat. One of OpenAI's own tools cannot be called, whatever is asked."""
    match given:
        case {"type": "function", "name": str() as name, **rest}:
            return {"type": "function", "function": {"name": namespaces.joined(rest.get("namespace"), name)}}
        case {"type": "allowed_tools", "tools": list() as allowed, **rest}:
            named = [_choice(each) if isinstance(each, dict) else each for each in allowed]
            return {"type": "allowed_tools", "allowed_tools": {**rest, "tools": named}}
        case {"type": "allowed_tools", **rest}:
            return {"type": "allowed_tools", "allowed_tools": rest}
    return given
