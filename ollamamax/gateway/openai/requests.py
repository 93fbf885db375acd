"""OpenAI's chat completion request (https://platform.openai.com/docs/api-reference/chat/create) and what we make of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.contract.fields import Fields, RefusedField
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.asked import Asked, Notes, several
from ollamamax.gateway.ollama.durations import seconds
from ollamamax.gateway.openai import content, others_words, tools
from ollamamax.gateway.openai.noted import Noted, note
from ollamamax.kernel import errors


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool | None = False


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """``arguments`` is JSON as text; some programs send the object itself."""

    name: str
    arguments: str | dict[str, Any] = ""


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    type: Literal["function"]
    function: Function


class Message(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class Sampling(Noted, kw_only=True, forbid_unknown_fields=True):
    """What steers the choice of tokens, in every request of this protocol that makes text."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    # What vLLM, llama.cpp and Ollama have besides.
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    min_tokens: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    num_ctx: int | None = None
    keep_alive: float | str | None = None
    service_tier: str | None = None


class ChatCompletionRequest(Sampling, kw_only=True, forbid_unknown_fields=True):
    """Fields that engines of ours can honour."""

    model: str
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None


MOST_CHOICES = 8
"""Each takes a slot of a node."""
MOST_TOKENS = (1 << 31) - 1
MOST_BIASES = 1024

_CACHES = "for OpenAI's own caches; requests that begin alike go to the same node, whose engine keeps their prompts"
IGNORED = {
    "store": "no chat is kept here",
    "prompt_cache_retention": _CACHES,
    "prompt_cache_options": _CACHES,
    "stream_options.include_obfuscation": "padding of a stream is no part of the answer",
}
"""Fields that are taken and change nothing in the answer, and why."""

FIELDS = Fields(
    ChatCompletionRequest,
    IGNORED
    | others_words.IGNORED
    | {
        "prediction": "it makes an answer quicker, never another one",
        "verbosity": "a hint for models that were trained on it, which none of ours was",
        "stream_options.continuous_usage_stats": "the usage comes at the end",
        "messages.annotations": "they are about an answer that OpenAI made",
        "messages.reasoning_details": "`reasoning_content` has the thoughts",
        "messages.tool_calls.index": "calls come in their order",
    },
    {
        "modalities": RefusedField("the answer is text", (["text"], [])),
        "audio": RefusedField("the answer is text"),
        "web_search_options": RefusedField("this server searches nowhere"),
        "moderation": RefusedField("no model here moderates"),
        "functions": RefusedField("OpenAI replaced it by `tools`", ([],)),
        "function_call": RefusedField("OpenAI replaced it by `tool_choice`"),
        "messages.audio": RefusedField("the engines hear nothing"),
        "messages.function_call": RefusedField("OpenAI replaced it by `tool_calls`"),
        **others_words.CHAT_REFUSED,
    },
    others_words.CHAT,
)


def parse(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = FIELDS.parse(body, notes.ignored, strict=notes.strict)
    affinity = note(notes, request.model, request)
    inference = to_inference(request, notes.ignored)
    return Asked(
        model=request.model,
        inferences=several(inference, request.n) if request.n is not None and request.n > 1 else [inference],
        body=request,
        stream=bool(request.stream),
        tier=request.service_tier,
        affinity=affinity,
    )


def to_inference(request: ChatCompletionRequest, ignored: Ignored) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    if not request.messages:
        raise errors.InvalidRequest("'messages' must hold at least one message.", param="messages")
    maximum = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    if request.top_logprobs and not request.logprobs:
        raise errors.InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    between("n", request.n, 1, MOST_CHOICES)
    between("top_logprobs", request.top_logprobs, 0, 20)
    is_open = request.messages[-1].role == "assistant"
    if request.continue_final_message is not None and request.continue_final_message is not is_open:
        raise errors.InvalidRequest(
            "'continue_final_message' is true if, and only if, the last message is the assistant's.",
            param="continue_final_message",
        )
    offered, choice = tools.offered(request.tools, request.tool_choice, ignored)
    switches = dict(request.chat_template_kwargs or {})
    think = effort("reasoning_effort", request.reasoning_effort)
    if isinstance(switched := switches.get("enable_thinking"), bool):
        del switches["enable_thinking"]
        think = switched if think is None or not switched else think
    return Inference(
        kind="chat",
        messages=[content.message(message) for message in request.messages],
        tools=offered,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
        format=response_format(request.response_format) if request.response_format is not None else None,
        think=think,
        think_if_able=bool(think),
        template_kwargs=switches,
        keep_alive=None if request.keep_alive is None else seconds(request.keep_alive),
        options=sampling(request, maximum),
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs or 0,
    )


_LEVELS: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def effort(name: str, given: str | None) -> bool | str | None:
    """As the engines know it: off, or the nearest of their three levels. Raises `InvalidRequest`."""
    if given is None:
        return None
    if given not in _LEVELS:
        raise errors.InvalidRequest(f"'{name}' must be one of {', '.join(_LEVELS)}.", param=name)
    return _LEVELS[given]


_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    **dict.fromkeys(("top_p", "min_p", "typical_p"), (0, 1)),
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), (-2, 2)),
    "seed": (-(1 << 63), (1 << 63) - 1),
    **dict.fromkeys(("top_k", "repeat_last_n"), (-1, MOST_TOKENS)),
    "repeat_penalty": (1e-3, 1e3),
    "mirostat": (0, 2),
    **dict.fromkeys(("mirostat_tau", "mirostat_eta"), (0, 1e6)),
    "min_tokens": (0, MOST_TOKENS),
    "num_ctx": (1, MOST_TOKENS),
}
"""The options that have a range, with the least and the most of it."""


def sampling(request: Sampling, maximum: int | None) -> Options:
    """Raises `InvalidRequest`, naming the parameter, for a value out of its range."""
    between("max_tokens", maximum, 1, MOST_TOKENS)
    for name, (least, most) in _RANGES.items():
        if (value := getattr(request, name)) is not None:
            between(name, value, least, most)
    return Options(
        max_tokens=maximum,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        seed=request.seed,
        stop=stops(request.stop) if request.stop else [],
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        repeat_penalty=request.repeat_penalty,
        num_ctx=request.num_ctx,
        logit_bias=_biases(request.logit_bias) if request.logit_bias else {},
        # What asks for nothing is not passed on: an engine without the option need not refuse it.
        min_tokens=request.min_tokens or None,
        stop_token_ids=tokens("stop_token_ids", request.stop_token_ids) if request.stop_token_ids else [],
        ignore_eos=request.ignore_eos or None,
        typical_p=None if request.typical_p == 1 else request.typical_p,
        repeat_last_n=request.repeat_last_n,
        mirostat=request.mirostat or None,
        mirostat_tau=request.mirostat_tau if request.mirostat else None,
        mirostat_eta=request.mirostat_eta if request.mirostat else None,
    )


def stops(given: str | list[str] | None) -> list[str]:
    """Those that are not empty: an empty text stands everywhere, and stops nothing."""
    return [each for each in ([given] if isinstance(given, str) else given or []) if each]


def _biases(given: dict[str, float] | None) -> dict[str, float]:
    if not given:
        return {}
    if len(given) > MOST_BIASES or any(not -100 <= value <= 100 for value in given.values()):
        raise errors.InvalidRequest(
            f"'logit_bias' holds up to {MOST_BIASES} values between -100 and 100.", param="logit_bias"
        )
    if not all(name.isascii() and name.isdecimal() and len(name) < 10 for name in given):
        raise errors.InvalidRequest("The names in 'logit_bias' are numbers of tokens.", param="logit_bias")
    return given


def tokens(name: str, given: list[Any]) -> list[int]:
    """Numbers of tokens. Raises `InvalidRequest`."""
    if not all(type(each) is int and 0 <= each <= MOST_TOKENS for each in given):
        raise errors.InvalidRequest(f"'{name}' holds what is no number of a token.", param=name)
    return given


def between(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise errors.InvalidRequest(f"'{name}' must be between {least} and {most}; it is {value}.", param=name)


def response_format(given: dict[str, Any] | None) -> str | dict[str, Any] | None:
    """``response_format`` as the engines' common form: nothing, ``"json"``, or a JSON schema."""
    if given is None:
        return None
    match given:
        case {"type": "text"}:
            return None
        case {"type": "json_object", "schema": dict() as schema}:
            return schema  # as llama.cpp and others have it
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return schema
        case {"type": "json_schema", "schema": dict() as schema}:
            return schema
    raise errors.InvalidRequest(
        "'response_format' must be of type text, json_object, or json_schema with a schema.", param="response_format"
    )
