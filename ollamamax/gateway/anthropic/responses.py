"""Anthropic's message, its stream of events (https://docs.anthropic.com/en/api/messages-streaming), and its errors."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from cluster.dispatch.queue_position import Outlook
from ollamamax.contract import Delta, Final
from ollamamax.contract.tables import Listed
from ollamamax.gateway import tool_calls
from ollamamax.gateway.anthropic.requests import MessagesRequest
from ollamamax.gateway.asked import Asked, Output, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.kernel import errors

EVENT_STREAM = b"text/event-stream; charset=utf-8"
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_REASONS = {"length": "max_tokens", "tool_calls": "tool_use"}


def error_body(error: errors.OllamaMaxError) -> bytes:
    """``{"type": "error", "error": {type, message}}``, as https://docs.anthropic.com/en/api/errors."""
    default = "invalid_request_error" if error.status < 500 else "api_error"
    kind = _TYPES.get(error.status, default)
    # Programs tell this error by the words in which Anthropic says it: there is no code.
    text = f"prompt is too long: {error.message}" if error.code == errors.ContextTooLong.code else error.message
    told = {"type": kind, "message": text}
    if details := error.fields.get("details"):
        told["details"] = details
    return encode({"type": "error", "error": told})


def error_event(error: errors.OllamaMaxError) -> bytes:
    """An error after the stream has begun."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"


def usage(final: Final) -> dict[str, int]:
    """Tokens that came out of a cache are counted apart there."""
    return {
        "input_tokens": final.prompt_tokens - final.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": final.cached_tokens,
        "output_tokens": final.completion_tokens,
    }


def stop_reason(final: Final) -> str:
    """The engines do not tell an end of the turn from a stop sequence."""
    return _REASONS.get(final.finish_reason, "end_turn")


def _message(request: str, model: str, content: list[dict[str, Any]], reason: str | None, used: Any) -> dict[str, Any]:
    return {
        "id": f"msg_{request}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "stop_details": None,
        "usage": used,
    }


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode({"type": name, **fields}) + b"\n\n"


_BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class AnthropicEvents:
    """Renders the events of one stream: content blocks one after the other, each of one kind."""

    def __init__(self, request: str, model: str) -> None:
        self._request = request
        self._model = model
        self._index = -1
        self._open = ""
        self._head = b""
        self._calls = tool_calls.Calls(one_by_one=True)

    def first(self) -> bytes:
        # The engine counts the prompt at the end; `message_delta` has it.
        nothing = {"input_tokens": 0, "output_tokens": 0}
        return _event("message_start", {"message": _message(self._request, self._model, [], None, nothing)})

    def delta(self, delta: Delta) -> bytes:
        part = b""
        delta = self._calls.hold(delta)
        if delta.thinking:
            part += self._into("thinking") + self._head + encode(delta.thinking) + b"}}\n\n"
        if delta.text:
            part += self._into("text") + self._head + encode(delta.text) + b"}}\n\n"
        if delta.tool_calls or delta.call_parts:
            for piece in self._calls.pieces(delta):
                part += self._piece(piece)
            for each in self._calls.released():
                part += self.delta(each)
        return part

    def _piece(self, piece: tool_calls.Piece) -> bytes:
        part = b""
        if piece.call is not None:
            name = piece.call["function"]["name"]
            block = {"type": "tool_use", "id": piece.call["id"], "name": name, "input": {}}
            part += self._close() + self._begin(block)
            self._open = "tool_use"
        if piece.arguments:
            json_ = {"type": "input_json_delta", "partial_json": piece.arguments}
            part += _event("content_block_delta", {"index": self._index, "delta": json_})
        return part

    def _into(self, kind: str) -> bytes:
        """Be in a block of that kind; what all its deltas share is encoded once."""
        if self._open == kind:
            return b""
        part = self._close() + self._begin(_BLOCKS[kind])
        self._open = kind
        start = {"type": "content_block_delta", "index": self._index, "delta": {"type": f"{kind}_delta"}}
        self._head = b"event: content_block_delta\ndata: " + encode(start)[:-2] + f',"{kind}":'.encode()
        return part

    def _begin(self, block: dict[str, Any]) -> bytes:
        self._index += 1
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _close(self) -> bytes:
        return _event("content_block_stop", {"index": self._index}) if self._open else b""

    def end(self, final: Final) -> bytes:
        delta = {"stop_reason": stop_reason(final), "stop_sequence": None}
        continued = {"continued": final.continued} if final.continued else {}
        end = _event("message_delta", {"delta": delta, "usage": usage(final), **continued})
        return self._close() + end + _event("message_stop", {})


def message(request: str, model: str, output: Output) -> bytes:
    """A whole ``message``."""
    content: list[dict[str, Any]] = []
    if output.thinking:
        content.append({"type": "thinking", "thinking": output.thinking, "signature": ""})
    if output.text:
        content.append({"type": "text", "text": output.text})
    content += [
        {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": tool_calls.arguments(call)}
        for call in output.tool_calls
    ]
    return encode(_message(request, model, content, stop_reason(output.final), usage(output.final)))


class MessageRenderer(Renderer):
    """A ``message``, or its events."""

    content_type = EVENT_STREAM

    def __init__(self, request: str, model: str) -> None:
        self._request = request
        self._model = model
        self.headers = request_id(request)

    def sign(self, outlook: Outlook | None) -> bytes:
        """As Anthropic's own streams have them."""
        return _event("ping", {})

    def whole(self, outputs: list[Output]) -> bytes:
        return message(self._request, self._model, outputs[0])

    def choice(self, index: int) -> AnthropicEvents:
        return AnthropicEvents(self._request, self._model)


def render(asked: Asked, call: Call, model: str) -> MessageRenderer:
    body: MessagesRequest = asked.body
    return Warmed(call.id, model) if body.max_tokens == 0 else MessageRenderer(call.id, model)


class Warmed(MessageRenderer):
    """The answer to a request for no tokens, which only has the prompt read: nothing is said."""

    def whole(self, outputs: list[Output]) -> bytes:
        return message(self._request, self._model, Output(_nothing(outputs[0].final)))

    def choice(self, index: int) -> AnthropicEvents:
        return SilentEvents(self._request, self._model)


class SilentEvents(AnthropicEvents):
    def delta(self, delta: Delta) -> bytes:
        return b""

    def end(self, final: Final) -> bytes:
        return super().end(_nothing(final))


def _nothing(final: Final) -> Final:
    return msgspec.structs.replace(final, completion_tokens=0, finish_reason="length")


class Count(Renderer):
    def whole(self, outputs: list[Output]) -> bytes:
        return encode({"input_tokens": outputs[0].final.counted})


def render_count(asked: Asked, call: Call, model: str) -> Count:
    return Count()


def request_id(request: str) -> list[tuple[bytes, bytes]]:
    return [(b"request-id", request.encode())]


def model(name: str, listed: Listed) -> dict[str, Any]:
    """One model (https://docs.anthropic.com/en/api/models); what is not known is null."""
    made = datetime.datetime.fromtimestamp(int(listed.modified_at), datetime.UTC)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": made.isoformat().replace("+00:00", "Z"),
        "max_input_tokens": listed.details.context_length,
        "max_tokens": listed.details.context_length,
        "capabilities": None,
        "lifecycle": "active",
    }


def model_page(
    listed: list[tuple[str, Listed]], limit: int, after: str | None = None, before: str | None = None
) -> bytes:
    """Those that follow ``after``, or the last before ``before``; all from the beginning where these are not among them."""
    names = [name for name, _ in listed]
    rows = listed[names.index(after) + 1 :] if after in names else listed
    if before in names:
        rows = rows[: names.index(before)]
        page, has_more = rows[-limit:], len(rows) > limit
    else:
        page, has_more = rows[:limit], len(rows) > limit
    return encode(
        {
            "data": [model(name, each) for name, each in page],
            "first_id": page[0][0] if page else None,
            "last_id": page[-1][0] if page else None,
            "has_more": has_more,
        }
    )
