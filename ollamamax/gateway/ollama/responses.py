"""Ollama's answers: NDJSON streams, whole answers, tags, errors. Durations are in nanoseconds, as there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from cluster.wire import Delta, Final
from ollamamax.gateway.catalog import Listed
from ollamamax.gateway.http import encode
from ollamamax.kernel import errors

NDJSON = b"application/x-ndjson"
Form = Literal["chat", "generate"]


def error_body(error: errors.OllamaMaxError) -> bytes:
    return encode({"error": "unauthorized" if error.status == 401 else error.message})


def error_event(error: errors.OllamaMaxError) -> bytes:
    return error_body(error) + b"\n"


def timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def tool_calls(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI tool calls in Ollama's form: arguments are an object, not text."""
    made = []
    for call in calls:
        function = call["function"]
        arguments = function.get("arguments") or "{}"
        made.append(
            {
                **({"id": call["id"]} if call.get("id") else {}),
                "function": {
                    "name": function["name"],
                    "arguments": json.loads(arguments) if isinstance(arguments, str) else arguments,
                },
            }
        )
    return made


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


def delta_line(form: Form, model: str, now: float, delta: Delta) -> bytes:
    return (
        encode(
            {
                "model": model,
                "created_at": timestamp(now),
                **output(form, delta.text, delta.thinking, delta.tool_calls),
                "done": False,
            }
        )
        + b"\n"
    )


def last(
    form: Form,
    model: str,
    now: float,
    final: Final,
    total_ms: float,
    text: str = "",
    thinking: str = "",
    calls: list[dict[str, Any]] | None = None,
) -> bytes:
    """The last line of a stream, or the whole answer. ``total_ms`` is measured here, the other durations by the engine."""
    return encode(
        {
            "model": model,
            "created_at": timestamp(now),
            **output(form, text, thinking, calls or []),
            "done": True,
            "done_reason": "stop" if final.finish_reason == "tool_calls" else final.finish_reason,
            "total_duration": _ns(total_ms),
            "load_duration": _ns(final.load_ms),
            "prompt_eval_count": final.prompt_tokens,
            "prompt_eval_duration": _ns(final.prompt_ms),
            "eval_count": final.completion_tokens,
            "eval_duration": _ns(final.eval_ms),
        }
    )


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)


def tags(models: Iterable[tuple[str, Listed]]) -> bytes:
    return encode({"models": [_tag(name, listed) for name, listed in models]})


def _tag(name: str, listed: Listed) -> dict[str, Any]:
    details = listed.details
    return {
        "name": name,
        "model": name,
        "modified_at": timestamp(listed.modified_at),
        "size": listed.size,
        "digest": listed.version.removeprefix("sha256:"),
        "details": {
            "parent_model": "",
            "format": details.format,
            "family": details.family,
            "families": [details.family] if details.family else [],
            "parameter_size": details.parameter_size,
            "quantization_level": details.quantization_level,
        },
    }
