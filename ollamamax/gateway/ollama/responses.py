"""Ollama's answers: NDJSON streams, whole answers, tags, errors. Durations are in nanoseconds, as there."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from cluster.dispatch.queue_position import Outlook
from ollamamax.contract import Delta, Final
from ollamamax.contract.tables import Details, Listed
from ollamamax.gateway.asked import Asked, Output, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.ollama.requests import only_memory
from ollamamax.gateway.tool_calls import arguments
from ollamamax.kernel import errors

NDJSON = b"application/x-ndjson"
Form = Literal["chat", "generate"]


def error_body(error: errors.OllamaMaxError) -> bytes:
    return encode({"error": "unauthorized" if error.status == 401 else error.message})


def error_event(error: errors.OllamaMaxError) -> bytes:
    # In a stream the one word, which clients know as the answer to a key that never was good, would say too little.
    return encode({"error": error.message}) + b"\n"


def timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def tool_calls(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI tool calls in Ollama's form: arguments are an object, not text."""
    return [
        {
            **({"id": call["id"]} if call.get("id") else {}),
            "function": {"name": call["function"]["name"], "arguments": arguments(call)},
        }
        for call in calls
    ]


def output(form: Form, text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The part of an answer that holds the model's output."""
    if form == "generate":
        return {"response": text, **({"thinking": thinking} if thinking else {})}
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = tool_calls(calls)
    return {"message": message}


class Lines:
    """Renders the lines of one stream; what they share is encoded once."""

    def __init__(self, form: Form, model: str, received_at: float) -> None:
        self._form = form
        self._model = model
        self._received_at = received_at
        self._head = encode({"model": model})[:-1] + b',"created_at":"'
        self._text = b'","message":{"role":"assistant","content":' if form == "chat" else b'","response":'
        self._end = b'},"done":false}\n' if form == "chat" else b',"done":false}\n'

    def delta(self, delta: Delta) -> bytes:
        moment = timestamp(time.time())
        if not delta.thinking and not delta.tool_calls and not delta.logprobs:
            return self._head + moment.encode() + self._text + encode(delta.text) + self._end
        line = {
            "model": self._model,
            "created_at": moment,
            **output(self._form, delta.text, delta.thinking, delta.tool_calls),
            **({"logprobs": delta.logprobs} if delta.logprobs else {}),
            "done": False,
        }
        return encode(line) + b"\n"

    def first(self) -> bytes:
        return b""

    def end(self, final: Final) -> bytes:
        return whole(self._form, self._model, self._received_at, Output(final)) + b"\n"


def whole(form: Form, model: str, received_at: float, answer: Output) -> bytes:
    """The whole answer, or the last line of a stream. The total is measured here, the other durations by the engine."""
    now = time.time()
    final = answer.final
    return encode(
        {
            "model": model,
            "created_at": timestamp(now),
            **output(form, answer.text, answer.thinking, answer.tool_calls),
            **({"logprobs": answer.logprobs} if answer.logprobs else {}),
            "done": True,
            **({"continued": final.continued} if final.continued else {}),
            **({"keep_alive": "ignored"} if final.keep_alive_ignored else {}),
            **({"context": final.context} if final.context and form == "generate" else {}),
            "done_reason": "stop" if final.finish_reason == "tool_calls" else final.finish_reason,
            "total_duration": nanoseconds((now - received_at) * 1000),
            "load_duration": nanoseconds(final.load_ms),
            "prompt_eval_count": final.prompt_tokens,
            "prompt_eval_duration": nanoseconds(final.prompt_ms),
            "eval_count": final.completion_tokens,
            "eval_duration": nanoseconds(final.eval_ms),
        }
    )


def nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)


class LinesRenderer(Renderer):
    """A chat, or what was generated."""

    content_type = NDJSON

    def __init__(self, form: Form, model: str, received_at: float) -> None:
        self._form = form
        self._model = model
        self._received_at = received_at

    def sign(self, outlook: Outlook | None) -> bytes:
        """In front of a line of JSON a space means nothing; an empty line would break clients that parse each line."""
        return b" "

    def whole(self, outputs: list[Output]) -> bytes:
        return whole(self._form, self._model, self._received_at, outputs[0])

    def choice(self, index: int) -> Lines:
        return Lines(self._form, self._model, self._received_at)


class MemoryRenderer(Renderer):
    """The answer to a request that only loaded or unloaded a model."""

    def __init__(self, form: Form, model: str, reason: Literal["load", "unload"]) -> None:
        self._form = form
        self._model = model
        self._reason = reason

    def whole(self, outputs: list[Output]) -> bytes:
        head = {"model": self._model, "created_at": timestamp(time.time())}
        return encode({**head, **output(self._form, "", "", []), "done": True, "done_reason": self._reason})


def render_chat(asked: Asked, call: Call, model: str) -> Renderer:
    return _rendered("chat", asked, call, model)


def render_generate(asked: Asked, call: Call, model: str) -> Renderer:
    return _rendered("generate", asked, call, model)


def _rendered(form: Form, asked: Asked, call: Call, model: str) -> Renderer:
    (inference,) = asked.inferences
    if only_memory(inference):
        return MemoryRenderer(form, model, "unload" if inference.keep_alive == 0 else "load")
    return LinesRenderer(form, model, call.received_at)


def tags(models: Iterable[tuple[str, Listed]]) -> bytes:
    return encode({"models": [_tag(name, listed) for name, listed in models]})


def _tag(name: str, listed: Listed) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": timestamp(listed.modified_at),
        "size": listed.size,
        "digest": listed.version.removeprefix("sha256:"),
        "details": described(listed.details),
    }


def described(details: Details) -> dict[str, Any]:
    return {
        "parent_model": details.parent_model,
        "format": details.format,
        "family": details.family,
        "families": [details.family] if details.family else [],
        "parameter_size": details.parameter_size,
        "quantization_level": details.quantization_level,
    }
