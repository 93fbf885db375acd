"""The answers of servers that speak OpenAI's inference API, chunk by chunk (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.engines.base import unsupported
from cluster.engines.too_long import too_long
from ollamamax import contract
from ollamamax.kernel.errors import ContextTooLong, EngineFailed

_REASONS: dict[str, contract.FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class _Part(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    delta: _Part | None = None
    message: _Part | None = None
    """In an answer of one piece."""
    text: str | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: dict[str, Any] | None = None


class _Timings(msgspec.Struct):
    """llama.cpp's own counts and times (milliseconds)."""

    prompt_n: int = 0
    cache_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int | None = None
    predicted_ms: float = 0.0


class _Chunk(msgspec.Struct):
    """What is read of a chunk; to decode the rest costs as much again."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: Any = None


_NOTHING = _Part()
_decode = msgspec.json.Decoder(_Chunk).decode


class Chunks:
    """Reads the chunks of one stream, or an answer that came in one piece: `delta` for each, then `final`."""

    def __init__(self, engine: str = "openai", inference: contract.Inference | None = None) -> None:
        self._engine = engine
        self._logprobs = inference is not None and inference.logprobs
        self._top = inference.top_logprobs if inference is not None else 0
        self.reason: contract.FinishReason = "stop"
        self.ended = False
        self.tokens = 0
        self.calls: dict[int, dict[str, Any]] = {}
        self.usage = _Usage()
        self.timings = _Timings()

    def delta(self, data: bytes) -> contract.Delta | None:
        """What the chunk ``data`` adds; ``None`` for one without output. Raises `EngineFailed` for an error in the stream."""
        chunk = _decode(data)
        if chunk.error is not None:
            error = chunk.error
            message = str(error.get("message", error)) if isinstance(error, dict) else str(error)
            raise ContextTooLong(message, param="messages") if too_long(str(error)) else EngineFailed(message)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.timings is not None:
            self.timings = chunk.timings
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        if choice.finish_reason:
            self.reason = _REASONS.get(choice.finish_reason, "stop")
            self.ended = True
        part = choice.delta or choice.message or _NOTHING
        for call in part.tool_calls or ():
            self._add(call)
        text = part.content or choice.text or ""
        thinking = part.reasoning_content or part.reasoning or ""
        logprobs = self._probabilities(choice, text) if self._logprobs else []
        made = self._made(bool(text or thinking or part.tool_calls))
        if not text and not thinking and not made:
            return None
        return contract.Delta(text, thinking, made, [], logprobs)

    def _probabilities(self, choice: _Choice, text: str) -> list[dict[str, Any]]:
        """One entry for each token, whichever of OpenAI's two forms the server uses."""
        found = choice.logprobs or {}
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
        total = self.timings.predicted_n or self.usage.completion_tokens
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
        return self.usage.prompt_tokens or self.timings.prompt_n + self.timings.cache_n

    def final(self, *, load_ms: float, total_ms: float) -> contract.Final:
        """The end, with the engine's own counts and times; `EngineFailed` when the stream ended without one."""
        if not self.ended:
            raise EngineFailed("The engine ended the stream without finishing the answer.")
        usage, timings = self.usage, self.timings
        made = usage.completion_tokens if usage.completion_tokens is not None else timings.predicted_n
        return contract.Final(
            finish_reason="tool_calls" if self.calls and self.reason == "stop" else self.reason,
            prompt_tokens=self.prompt_tokens(),
            completion_tokens=self.tokens if made is None else made,
            cached_tokens=(usage.prompt_tokens_details or {}).get("cached_tokens") or timings.cache_n,
            load_ms=load_ms,
            prompt_ms=timings.prompt_ms,
            eval_ms=timings.predicted_ms,
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
