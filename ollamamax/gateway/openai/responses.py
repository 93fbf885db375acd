"""OpenAI's chat completion, its stream of chunks, its model list, and its errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ollamamax.contract import Delta, Final
from ollamamax.contract.tables import Listed
from ollamamax.gateway.asked import Asked, Output, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.openai.requests import ChatCompletionRequest
from ollamamax.gateway.tool_calls import Calls, Piece
from ollamamax.kernel import errors

EVENT_STREAM = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
_END = b"}]}\n\n"
_TYPES = {401: "invalid_request_error", 403: "insufficient_permissions", 429: "rate_limit_error"}


def error_body(error: errors.OllamaMaxError) -> bytes:
    """``{"error": {message, type, param, code}}``, as https://platform.openai.com/docs/guides/error-codes."""
    return encode({"error": error_fields(error)})


def error_fields(error: errors.OllamaMaxError) -> dict[str, Any]:
    default = "invalid_request_error" if error.status < 500 else "server_error"
    return {
        "message": error.message,
        "type": _TYPES.get(error.status, default),
        "param": error.fields.get("param"),
        "code": "invalid_api_key" if error.status == 401 else error.code,
    }


def error_event(error: errors.OllamaMaxError) -> bytes:
    """An error after the stream has begun."""
    return b"data: " + error_body(error) + b"\n\n"


def usage(*finals: Final) -> dict[str, Any]:
    """Of several choices the prompt is counted once, as OpenAI counts it."""
    final = finals[0]
    completion_tokens, estimated = 0, False
    for each in finals:
        completion_tokens += each.completion_tokens
        estimated = estimated or each.estimated
    return {
        "prompt_tokens": final.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": final.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": final.cached_tokens},
        **({"estimated": True} if estimated else {}),
    }


class Chunks:
    """Renders the chunks of one stream; what they share is encoded once."""

    def __init__(self, request: str, model: str, created: int, *, include_usage: bool, index: int = 0) -> None:
        head = {"id": f"chatcmpl-{request}", "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = b"data: " + encode(head)[:-1]
        # With include_usage every chunk but the last has a null usage.
        self._choices = (
            b',"usage":null' if include_usage else b""
        ) + f',"choices":[{{"index":{index},"delta":'.encode()
        self._include_usage = include_usage
        self._calls = Calls()

    def first(self) -> bytes:
        return self._head + self._choices + b'{"role":"assistant","content":""},"finish_reason":null' + _END

    def delta(self, delta: Delta) -> bytes:
        if delta.text and not (delta.thinking or delta.tool_calls or delta.logprobs or delta.call_parts):
            return self._head + self._choices + b'{"content":' + encode(delta.text) + b'},"finish_reason":null' + _END
        content: dict[str, Any] = {}
        if delta.thinking:
            content["reasoning_content"] = delta.thinking
        if delta.text:
            content["content"] = delta.text
        if (delta.tool_calls or delta.call_parts) and (pieces := self._calls.pieces(delta)):
            content["tool_calls"] = [_piece(piece) for piece in pieces if piece.call or piece.arguments]
            if not content["tool_calls"]:
                del content["tool_calls"]
        if not content:
            return b""
        logprobs = b',"logprobs":' + encode({"content": delta.logprobs, "refusal": None}) if delta.logprobs else b""
        return self._head + self._choices + encode(content) + logprobs + b',"finish_reason":null' + _END

    def end(self, final: Final) -> bytes:
        """The end of this choice."""
        head = self._head + (f',"continued":{final.continued}'.encode() if final.continued else b"")
        return head + self._choices + b'{},"finish_reason":' + encode(final.finish_reason) + _END

    def done(self, finals: list[Final]) -> bytes:
        """The end of the stream, with what all its choices used."""
        used = self._head + b',"choices":[],"usage":' + encode(usage(*finals)) + b"}\n\n"
        return (used if self._include_usage else b"") + DONE


class Completion(Renderer):
    """A ``chat.completion``, or its chunks."""

    content_type = EVENT_STREAM

    def __init__(self, request: str, model: str, created: int, *, include_usage: bool) -> None:
        self._of = (request, model, created)
        self._include_usage = include_usage
        self._first: Chunks | None = None

    def choice(self, index: int) -> Chunks:
        chunks = Chunks(*self._of, include_usage=self._include_usage, index=index)
        self._first = self._first or chunks
        return chunks

    def done(self, finals: list[Final]) -> bytes:
        assert self._first is not None  # noqa: S101 - what ends has begun
        return self._first.done(finals)

    def whole(self, outputs: list[Output]) -> bytes:
        return completion(*self._of, outputs)


def render(asked: Asked, call: Call, model: str) -> Completion:
    body: ChatCompletionRequest = asked.body
    include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return Completion(call.id, model, int(call.received_at), include_usage=include_usage)


def _piece(piece: Piece) -> dict[str, Any]:
    if piece.call is None:
        return {"index": piece.place, "function": {"arguments": piece.arguments}}
    function = {**piece.call["function"], "arguments": piece.arguments}
    return {**piece.call, "function": function, "index": piece.place}


def completion(request: str, model: str, created: int, outputs: list[Output]) -> bytes:
    """A whole ``chat.completion``, with a choice for each output."""
    return encode(
        {
            "id": f"chatcmpl-{request}",
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [_choice(index, output) for index, output in enumerate(outputs)],
            "usage": usage(*(output.final for output in outputs)),
        }
    )


def _choice(index: int, output: Output) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": output.text if output.text or not output.tool_calls else None,
        "refusal": None,
    }
    if output.thinking:
        message["reasoning_content"] = output.thinking
    if output.tool_calls:
        message["tool_calls"] = output.tool_calls
    logprobs = {"content": output.logprobs, "refusal": None} if output.logprobs else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": output.final.finish_reason}


def model(name: str, listed: Listed) -> bytes:
    return encode(_model(name, listed))


def model_list(models: Iterable[tuple[str, Listed]]) -> bytes:
    return encode({"object": "list", "data": [_model(name, listed) for name, listed in models]})


def _model(name: str, listed: Listed) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(listed.modified_at), "owned_by": "library"}
