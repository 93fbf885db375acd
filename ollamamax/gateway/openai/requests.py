"""OpenAI's chat completion request (https://platform.openai.com/docs/api-reference/chat/create) and what we make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.kernel import errors


class StreamOptions(msgspec.Struct):
    include_usage: bool = False
    include_obfuscation: bool = False


class Message(msgspec.Struct, omit_defaults=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class ChatCompletionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Fields that engines of ours can honour, those of `IGNORED`, and those of `UNSUPPORTED` with their harmless values."""

    model: str
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    # Extensions that vLLM and llama.cpp share.
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    # Ignored.
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    # Refused.
    logit_bias: dict[str, float] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    verbosity: str | None = None
    web_search_options: dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None


MOST_CHOICES = 8
"""Each takes a slot of a node."""
decoder = msgspec.json.Decoder(ChatCompletionRequest)

_ACCOUNTING = "for OpenAI's own accounting"
_CACHES = "for OpenAI's own caches; the engines keep their prompts by themselves"
IGNORED = {
    "user": _ACCOUNTING,
    "metadata": _ACCOUNTING,
    "store": "no answer is kept here",
    "service_tier": _ACCOUNTING,
    "safety_identifier": _ACCOUNTING,
    "prompt_cache_key": _CACHES,
    "prompt_cache_retention": _CACHES,
}
"""Fields that are taken and change nothing in the answer, and why."""

UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "logit_bias": (None, {}),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
    "functions": (None,),
    "function_call": (None,),
}


def to_inference(request: ChatCompletionRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    refuse(request, UNSUPPORTED)
    if not request.messages:
        raise errors.InvalidRequest("'messages' must hold at least one message.", param="messages")
    maximum = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    if request.top_logprobs and not request.logprobs:
        raise errors.InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    between("n", request.n, 1, MOST_CHOICES)
    between("top_logprobs", request.top_logprobs, 0, 20)
    return Inference(
        kind="chat",
        messages=[msgspec.to_builtins(message) for message in request.messages],
        tools=request.tools or [],
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        format=_format(request.response_format),
        think=request.reasoning_effort,
        options=sampling(request, maximum),
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs or 0,
    )


class Sampled(Protocol):
    """The fields that every request of this protocol has to steer the choice of tokens."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    seed: int | None
    stop: str | list[str] | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repeat_penalty: float | None


def sampling(request: Sampled, maximum: int | None) -> Options:
    """Raises `InvalidRequest`, naming the parameter, for a value out of its range."""
    between("max_tokens", maximum, 1, 1 << 31)
    between("temperature", request.temperature, 0, 2)
    between("top_p", request.top_p, 0, 1)
    between("presence_penalty", request.presence_penalty, -2, 2)
    between("frequency_penalty", request.frequency_penalty, -2, 2)
    return Options(
        max_tokens=maximum,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        seed=request.seed,
        stop=[request.stop] if isinstance(request.stop, str) else request.stop or [],
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        repeat_penalty=request.repeat_penalty,
    )


def refuse(request: msgspec.Struct, unsupported: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise `Unsupported` for a field of ``unsupported`` that has none of its harmless values."""
    for name, harmless in unsupported.items():
        if getattr(request, name) not in harmless:
            raise errors.Unsupported(f"'{name}' is not supported by this server.", param=name)


def between(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise errors.InvalidRequest(f"'{name}' must be between {least} and {most}; it is {value}.", param=name)


def _format(response_format: dict[str, Any] | None) -> str | dict[str, Any] | None:
    """``response_format`` as the engines' common form: nothing, ``"json"``, or a JSON schema."""
    if response_format is None:
        return None
    match response_format:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return schema
    raise errors.InvalidRequest(
        "'response_format' must be of type text, json_object, or json_schema with a schema.", param="response_format"
    )
