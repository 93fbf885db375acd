"""The answers of servers that speak OpenAI's inference API, chunk by chunk (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.engines.base import unsupported
from cluster.engines.call_parts import CallParts
from cluster.engines.faults import error_of
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed

DONE = b"[DONE]"
_REASONS: dict[str, contract.FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_MOST = 1 << 40
"""No count of tokens is larger."""
_UNKNOWN = -9999.0
"""OpenAI's own number for a log probability that cannot be told."""

Content = str | list[dict[str, Any]] | None


class _Part(msgspec.Struct, gc=False):
    content: Content = None
    """Text; some servers send a list of parts."""
    reasoning_content: Content = None
    reasoning: Content = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    """The older form of the same, of one call."""


class _Choice(msgspec.Struct, gc=False):
    delta: _Part | None = None
    message: _Part | None = None
    """In an answer of one piece."""
    text: str | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    prompt_tokens_details: dict[str, Any] | None = None


class _Timings(msgspec.Struct):
    """llama.cpp's own counts and times (milliseconds)."""

    prompt_n: int = 0
    cache_n: int | None = None
    """``None`` where it does not say, as in older releases."""
    prompt_ms: float = 0.0
    predicted_n: int | None = None
    predicted_ms: float = 0.0


class _Chunk(msgspec.Struct):
    """What is read of a chunk; to decode the rest costs as much again."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: Any = None


_NOTHING = _Part()
_decode = msgspec.json.Decoder(_Chunk).decode


class OpenAIChunks:
    """Reads the chunks of one stream, or an answer that came in one piece: `delta` for each, then `final`."""

    def __init__(self, engine: str = "openai", inference: contract.Inference | None = None) -> None:
        self._engine = engine
        self._logprobs = inference is not None and inference.logprobs
        self._top = inference.top_logprobs if inference is not None else 0
        self.reason: contract.FinishReason = "stop"
        self.ended = False
        self.tokens = 0
        self._counts = False
        """Whether the server has told any counts."""
        self.calls = CallParts()
        self._shows_calls = (
            inference is not None and inference.delivery == "stream" and inference.tool_choice in (None, "auto")
        )
        """Whether calls are shown as they are written: one that must be looked at first may be none in the end."""
        self._one_call = inference is not None and inference.parallel_tool_calls is False
        self.usage = _Usage()
        self.timings = _Timings()

    def delta(self, data: bytes) -> contract.Delta | None:
        """What the chunk ``data`` adds; ``None`` for one without output. Raises the error that the stream holds."""
        if data == DONE:
            # Servers that give no reason for the end say at least that it is one.
            self.ended = True
            return None
        chunk = _decode(data)
        if chunk.error is not None:
            error = chunk.error
            message = str(error.get("message", error)) if isinstance(error, dict) else str(error)
            raise error_of(self._engine, 500, str(error), message)
        if chunk.usage is not None:
            self.usage, self._counts = chunk.usage, True
        if chunk.timings is not None:
            self.timings, self._counts = chunk.timings, True
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        if choice.finish_reason or choice.message is not None:
            self.reason = _REASONS.get(choice.finish_reason or "", "stop")
            self.ended = True
        part = choice.delta or choice.message or _NOTHING
        if (
            type(part.content) is str
            and part.content
            and not self._logprobs
            and not (part.tool_calls or part.reasoning_content or part.reasoning or part.function_call)
        ):
            # What most chunks are: a stream has one for each token.
            if self._counts:
                return contract.Delta(part.content, "", self._made(True))
            self.tokens += 1
            return contract.Delta(part.content, "", 1)
        for call in part.tool_calls or ():
            self.calls.add(call)
        if part.function_call:
            self.calls.add({"index": 0, "function": part.function_call})
        parts = self._written() if part.tool_calls and self._shows_calls else []
        content = part.content
        text, thinking = _said(content) if isinstance(content, list) else (content or choice.text or "", "")
        if part.reasoning_content or part.reasoning:
            thinking += "".join(_said(part.reasoning_content or part.reasoning))
        logprobs = self._probabilities(choice, text) if self._logprobs else []
        made = self._made(bool(text or thinking or part.tool_calls))
        if not text and not thinking and not made and not parts:
            return None
        return contract.Delta(text, thinking, made, [], logprobs, parts)

    def _probabilities(self, choice: _Choice, text: str) -> list[dict[str, Any]]:
        """One entry for each token, whichever of OpenAI's two forms the server uses."""
        found = choice.logprobs or {}
        if found.get("content"):
            return [_entry(entry, self._top) for entry in found["content"]]
        if found.get("tokens"):
            tokens, tops = found["tokens"], found.get("top_logprobs") or [None] * len(found["tokens"])
            if not len(tokens) == len(found["token_logprobs"]) == len(tops):
                raise EngineFailed(f"The {self._engine} engine sent lists of log probabilities of different lengths.")
            return [
                {
                    **_probability(token, logprob),
                    "top_logprobs": [_probability(*each) for each in list((top or {}).items())[: self._top]],
                }
                for token, logprob, top in zip(tokens, found["token_logprobs"], tops, strict=True)
            ]
        if text:
            raise unsupported(self._engine, "logprobs", "its server sends none")
        return []

    def _made(self, output: bool) -> int:
        """Tokens since the last chunk: by the server's own count where it gives one, else one for each chunk."""
        told = self.usage.completion_tokens
        total = self.timings.predicted_n or (None if told is None else _count(told))
        made = max(0, total - self.tokens) if total is not None else int(output)
        self.tokens += made
        return made

    def _written(self) -> list[contract.CallPart]:
        return [part for part in self.calls.written() if not (self._one_call and part.place)]

    def prompt_tokens(self) -> int:
        """The prompt's tokens, those from the cache included; 0 while the server has not said."""
        return _count(self.usage.prompt_tokens) or self.timings.prompt_n + max(0, self.timings.cache_n or 0)

    def final(self, *, load_ms: float, total_ms: float) -> contract.Final:
        """The end, with the engine's own counts and times; `EngineFailed` when the stream ended without one.

        Counts that the engine did not tell are not its own: of the answer the parts that came, of the prompt 0.
        """
        if not self.ended:
            raise EngineFailed("The engine ended the stream without finishing the answer.")
        usage, timings = self.usage, self.timings
        told = _count(usage.completion_tokens)
        made = told if told is not None else timings.predicted_n
        kept = _count((usage.prompt_tokens_details or {}).get("cached_tokens"))
        cached = kept or max(0, timings.cache_n or 0)
        prompt = self.prompt_tokens()
        return contract.Final(
            finish_reason="tool_calls" if self.calls and self.reason == "stop" else self.reason,
            prompt_tokens=prompt,
            completion_tokens=self.tokens if made is None else made,
            cached_tokens=min(cached, prompt),
            load_ms=load_ms,
            prompt_ms=timings.prompt_ms,
            eval_ms=timings.predicted_ms,
            total_ms=total_ms,
            estimated=made is None or not prompt,
            # Of a prompt that the engine did not count nothing is known either.
            cache_told=prompt > 0 and (kept is not None or timings.cache_n is not None),
        )


def _said(content: Content) -> tuple[str, str]:
    """Text and thoughts of a content that is a text, or a list of parts."""
    if not isinstance(content, list):
        return content or "", ""
    text, thinking = [], []
    for part in content:
        if part.get("type") in {"thinking", "reasoning"}:
            inner = part.get("thinking") or part.get("reasoning") or part.get("text")
            thinking.append("".join(_said(inner)) if isinstance(inner, str | list) else "")
        else:
            text.append(str(part.get("text") or ""))
    return "".join(text), "".join(thinking)


def _count(told: Any) -> int | None:
    """A count that can be true, or ``None``."""
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told <= _MOST:
        return None
    return int(told)


def _probability(token: str, logprob: float | None) -> dict[str, Any]:
    known = _UNKNOWN if logprob is None else float(logprob)
    return {"token": token, "logprob": max(_UNKNOWN, min(0.0, known)), "bytes": list(token.encode())}


def _entry(entry: dict[str, Any], top: int) -> dict[str, Any]:
    def told(each: dict[str, Any]) -> dict[str, Any]:
        made = _probability(str(each["token"]), each.get("logprob"))
        # A token may be a part of a character, which only its bytes tell.
        return made | {"bytes": given} if (given := each.get("bytes")) is not None else made

    return {**told(entry), "top_logprobs": [told(each) for each in (entry.get("top_logprobs") or [])[:top]]}
