"""OpenAI's inference API as the engines speak it: bodies out of an `Inference`, deltas out of chunks. Pure.

Servers differ in what they accept beyond OpenAI's own fields; a `Dialect` says what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cluster import wire
from cluster.engines.base import unsupported
from cluster.engines.too_long import too_long
from ollamamax.kernel.errors import ContextTooLong, EngineFailed

_REASONS: dict[str, wire.FinishReason] = {"length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}
_COMMON = ("max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")


@dataclass(frozen=True)
class Dialect:
    """One server's additions: ``options`` maps ours to its names; the flags are request fields it knows.

    ``thinking``: ``template`` passes switches to the chat template, ``effort`` knows only ``reasoning_effort``.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    timings: bool = False
    continuous_usage: bool = False
    thinking: str = "effort"
    suffix: bool = True
    goes_on: bool = False
    """Whether it goes on with an answer that was begun."""


LLAMACPP = Dialect(
    "llamacpp",
    {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repeat_penalty"},
    timings=True,
    thinking="template",
    suffix=False,
    goes_on=True,
)
VLLM = Dialect(
    "vllm",
    {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
    continuous_usage=True,
    thinking="template",
    goes_on=True,
)
SGLANG = Dialect("sglang", VLLM.options, thinking="template", goes_on=True)
PLAIN = Dialect("openai")


def dialect_of(owner: str) -> Dialect:
    """The dialect of the server whose ``/v1/models`` says ``owned_by: owner``."""
    return {d.name: d for d in (LLAMACPP, VLLM, SGLANG)}.get(owner.lower().replace(".", ""), PLAIN)


def body(engine: str, inference: wire.Inference, model: str, dialect: Dialect) -> dict[str, Any]:
    """The JSON body for ``/v1/chat/completions`` or ``/v1/completions``. Raises `Unsupported`."""
    request: dict[str, Any] = {"model": model}
    if inference.delivery != "once":
        request |= _streamed(dialect)
    request |= _options(engine, inference.options, dialect)
    request |= _chat(inference) if inference.kind == "chat" else _completion(engine, inference, dialect)
    if inference.continued and inference.kind == "chat":
        request |= _continued(engine, inference, dialect)
    if inference.format is not None:
        request |= _format(inference, dialect)
    if inference.logprobs:
        request |= _logprobs(inference, dialect)
    if inference.think is not None:
        request |= _thinking(engine, inference, dialect)
    return request


def _streamed(dialect: Dialect) -> dict[str, Any]:
    found: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    if dialect.timings:
        found["timings_per_token"] = True
    if dialect.continuous_usage:
        found["stream_options"]["continuous_usage_stats"] = True
    return found


def _logprobs(inference: wire.Inference, dialect: Dialect) -> dict[str, Any]:
    if inference.kind == "chat":
        return {"logprobs": True, "top_logprobs": inference.top_logprobs}
    # llama.cpp takes 0 for "none at all".
    return {"logprobs": max(1, inference.top_logprobs) if dialect is LLAMACPP else inference.top_logprobs}


def _format(inference: wire.Inference, dialect: Dialect) -> dict[str, Any]:
    value = inference.format
    if dialect is LLAMACPP and inference.kind == "completion":
        # It would ignore response_format here.
        return {"json_schema": value if isinstance(value, dict) else {"type": "object"}}
    if isinstance(value, dict):
        schema = {"name": "response", "schema": value, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}}


def _options(engine: str, options: wire.Options, dialect: Dialect) -> dict[str, Any]:
    found = {name: value for name in _COMMON if (value := getattr(options, name)) is not None}
    if options.max_tokens is not None and options.max_tokens < 0:
        del found["max_tokens"]  # until the model stops, which is what they do without it
    if options.stop:
        found["stop"] = options.stop
    for name in ("top_k", "min_p", "repeat_penalty"):
        if (value := getattr(options, name)) is not None:
            if name not in dialect.options:
                raise unsupported(engine, name, f"its server ({dialect.name}) has no such option")
            found[dialect.options[name]] = value
    return found


def _chat(inference: wire.Inference) -> dict[str, Any]:
    found: dict[str, Any] = {"messages": inference.messages}
    if inference.tools:
        found["tools"] = inference.tools
    if inference.tool_choice is not None:
        found["tool_choice"] = inference.tool_choice
    if inference.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = inference.parallel_tool_calls
    return found


def _continued(engine: str, inference: wire.Inference, dialect: Dialect) -> dict[str, Any]:
    """The last message is the assistant's own, and is not closed. llama.cpp does so by itself."""
    if not dialect.goes_on:
        raise unsupported(engine, "continued", f"its server ({dialect.name}) begins every answer anew")
    messages = [*inference.messages, {"role": "assistant", "content": inference.continued}]
    if dialect is LLAMACPP:
        return {"messages": messages}
    return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def _completion(engine: str, inference: wire.Inference, dialect: Dialect) -> dict[str, Any]:
    if inference.tools:
        raise unsupported(engine, "tools", "a plain completion has no chat template")
    found: dict[str, Any] = {"prompt": inference.prompt}
    if inference.suffix:
        if not dialect.suffix:
            raise unsupported(engine, "suffix")
        found["suffix"] = inference.suffix
    return found


def _thinking(engine: str, inference: wire.Inference, dialect: Dialect) -> dict[str, Any]:
    if inference.kind != "chat":
        raise unsupported(engine, "think", "a plain completion has no chat template")
    if isinstance(inference.think, str):
        if dialect.thinking == "template":
            return {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": inference.think}}
        return {"reasoning_effort": inference.think}
    if dialect.thinking == "template":
        return {"chat_template_kwargs": {"enable_thinking": inference.think}}
    raise unsupported(engine, "think", f"its server ({dialect.name}) knows only levels of effort")


class Chunks:
    """Reads the chunks of one stream, or an answer that came in one piece: `delta` for each, then `final`."""

    def __init__(self, engine: str = "openai", inference: wire.Inference | None = None) -> None:
        self._engine = engine
        self._logprobs = inference is not None and inference.logprobs
        self._top = inference.top_logprobs if inference is not None else 0
        self.reason: wire.FinishReason = "stop"
        self.ended = False
        self.tokens = 0
        self.calls: dict[int, dict[str, Any]] = {}
        self.usage: dict[str, Any] = {}
        self.timings: dict[str, Any] = {}

    def delta(self, chunk: dict[str, Any]) -> wire.Delta | None:
        """What ``chunk`` adds; ``None`` for one without output. Raises `EngineFailed` for an error in the stream."""
        if "error" in chunk:
            error = chunk["error"]
            message = str(error.get("message", error)) if isinstance(error, dict) else str(error)
            raise ContextTooLong(message, param="messages") if too_long(str(error)) else EngineFailed(message)
        self.usage = chunk.get("usage") or self.usage
        self.timings = chunk.get("timings") or self.timings
        choices = chunk.get("choices") or []
        if not choices:
            return None
        choice = choices[0]
        if reason := choice.get("finish_reason"):
            self.reason = _REASONS.get(reason, "stop")
            self.ended = True
        part = choice.get("delta") or choice.get("message") or {}
        for call in part.get("tool_calls") or []:
            self._add(call)
        text = part.get("content") or choice.get("text") or ""
        thinking = part.get("reasoning_content") or part.get("reasoning") or ""
        logprobs = self._probabilities(choice, text) if self._logprobs else []
        made = self._made(bool(text or thinking or part.get("tool_calls")))
        if not text and not thinking and not made:
            return None
        return wire.Delta(text, thinking, made, [], logprobs)

    def _probabilities(self, choice: dict[str, Any], text: str) -> list[dict[str, Any]]:
        """One entry for each token, whichever of OpenAI's two forms the server uses."""
        found = choice.get("logprobs") or {}
        if found.get("content"):
            return [_entry(entry, self._top) for entry in found["content"]]
        if found.get("tokens"):
            tops = found.get("top_logprobs") or [None] * len(found["tokens"])
            return [
                {
                    **_probability(token, logprob),
                    "top_logprobs": [_probability(*each) for each in list((top or {}).items())[: self._top]],
                }
                for token, logprob, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)
            ]
        if text:
            raise unsupported(self._engine, "logprobs", "its server sends none")
        return []

    def _made(self, output: bool) -> int:
        """Tokens since the last chunk: by the server's own count where it gives one, else one for each chunk."""
        total = self.timings.get("predicted_n") or self.usage.get("completion_tokens")
        made = max(0, total - self.tokens) if total is not None else int(output)
        self.tokens += made
        return made

    def _add(self, part: dict[str, Any]) -> None:
        call = self.calls.setdefault(
            part.get("index", 0), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = part.get("id") or call["id"]
        function = part.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls, complete, in their order."""
        return [self.calls[index] for index in sorted(self.calls)]

    def prompt_tokens(self) -> int:
        """The prompt's tokens, those from the cache included; 0 while the server has not said."""
        counted: int = self.usage.get("prompt_tokens", 0)
        return counted or self.timings.get("prompt_n", 0) + self.timings.get("cache_n", 0)

    def final(self, *, load_ms: float, total_ms: float) -> wire.Final:
        """The end, with the engine's own counts and times; `EngineFailed` when the stream ended without one."""
        if not self.ended:
            raise EngineFailed("The engine ended the stream without finishing the answer.")
        details = self.usage.get("prompt_tokens_details") or {}
        timings = self.timings
        return wire.Final(
            finish_reason="tool_calls" if self.calls and self.reason == "stop" else self.reason,
            prompt_tokens=self.prompt_tokens(),
            completion_tokens=self.usage.get("completion_tokens", timings.get("predicted_n", self.tokens)),
            cached_tokens=details.get("cached_tokens") or timings.get("cache_n") or 0,
            load_ms=load_ms,
            prompt_ms=timings.get("prompt_ms", 0.0),
            eval_ms=timings.get("predicted_ms", 0.0),
            total_ms=total_ms,
        )


def _probability(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _entry(entry: dict[str, Any], top: int) -> dict[str, Any]:
    names = ("token", "logprob", "bytes")
    return {
        **{name: entry.get(name) for name in names},
        "top_logprobs": [{name: each.get(name) for name in names} for each in (entry.get("top_logprobs") or [])[:top]],
    }


def scores(answer: Any, documents: int, *, total_ms: float) -> wire.Final:
    """The end of a ``rerank`` request, from the answer of ``/v1/rerank``, in the order of the documents."""
    rows = {row["index"]: row["relevance_score"] for row in answer["results"]}
    usage = answer.get("usage") or {}
    return wire.Final(
        # Some servers count only the total, which is the same: nothing is generated.
        prompt_tokens=usage.get("prompt_tokens") or usage.get("total_tokens", 0),
        total_ms=total_ms,
        scores=[float(rows[index]) for index in range(documents)],
    )


def embeddings(answer: dict[str, Any], *, total_ms: float, load_ms: float = 0.0) -> wire.Final:
    """The end of an ``embed`` request, from the answer of ``/v1/embeddings``, in the order of the inputs."""
    rows = sorted(answer["data"], key=lambda row: row["index"])
    usage = answer.get("usage") or {}
    return wire.Final(
        prompt_tokens=usage.get("prompt_tokens", 0),
        load_ms=load_ms,
        total_ms=total_ms,
        embeddings=[row["embedding"] for row in rows],
    )
