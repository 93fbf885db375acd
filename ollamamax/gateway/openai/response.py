"""OpenAI's ``/v1/responses``: the answer as a list of items, whole or as a stream of typed events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ollamamax.contract import Delta, Final
from ollamamax.gateway.asked import Output, Renderer
from ollamamax.gateway.http import encode
from ollamamax.gateway.openai.kept import Kept
from ollamamax.gateway.openai.namespaces import Places, places
from ollamamax.gateway.openai.response_request import ResponseRequest
from ollamamax.gateway.openai.responses import EVENT_STREAM, error_fields
from ollamamax.gateway.tool_calls import Calls, Piece
from ollamamax.kernel.errors import OllamaMaxError

Item = dict[str, Any]


def error_event(error: OllamaMaxError) -> bytes:
    """An error after the stream has begun: this endpoint's events say their type."""
    fields = error_fields(error)
    body = {
        "type": "error",
        "sequence_number": error.fields.get("sequence_number", 0),
        **{name: fields[name] for name in ("code", "message", "param")},
    }
    return b"event: error\ndata: " + encode(body) + b"\n\n"


def _usage(final: Final) -> Item:
    return {
        "input_tokens": final.prompt_tokens,
        "input_tokens_details": {"cached_tokens": final.cached_tokens},
        "output_tokens": final.completion_tokens,
        # The engines do not count the tokens of thinking apart.
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": final.prompt_tokens + final.completion_tokens,
    }


@dataclass(frozen=True)
class ShownResponse:
    """What all pictures of one response share; ``more`` are fields besides, ``created`` is in Unix seconds."""

    request: str
    body: ResponseRequest
    created: int
    more: Item

    @cached_property
    def _places(self) -> Places:
        return places(self.body.tools)

    def call(self, id_: str, call: Item, arguments: str, status: str) -> Item:
        """A call, by the name that its client gave the function."""
        name = call["function"]["name"]
        namespace, name = self._places.get(name, ("", name))
        return {
            "type": "function_call",
            "id": id_,
            "call_id": call["id"],
            **({"namespace": namespace} if namespace else {}),
            "name": name,
            "arguments": arguments,
            "status": status,
        }

    def response(self, output: list[Item], final: Final | None) -> Item:
        """A ``response``; without ``final`` one that is under way."""
        return _response(self.request, self.body, self.created, output, final) | self.more


def _response(request: str, body: ResponseRequest, created: int, output: list[Item], final: Final | None) -> Item:
    cut = final is not None and final.finish_reason == "length"
    continued = {"continued": final.continued} if final is not None and final.continued else {}
    return {
        **continued,
        "id": f"resp_{request}",
        "object": "response",
        "created_at": created,
        "status": "in_progress" if final is None else "incomplete" if cut else "completed",
        "completed_at": None if final is None or cut else int(time.time()),
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": body.model,
        "output": output,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        "temperature": body.temperature,
        "text": {"format": (body.text and body.text.format) or {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "top_p": body.top_p,
        "truncation": "disabled",
        "usage": None if final is None else _usage(final),
    }


def _text_part(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _thought(id_: str, text: str, status: str) -> Item:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"type": "reasoning", "id": id_, "summary": [], "content": content, "status": status}


def _message(id_: str, text: str | None, status: str) -> Item:
    content = [] if text is None else [_text_part(text)]
    return {"type": "message", "id": id_, "role": "assistant", "content": content, "status": status}


def _arguments(call: Item) -> str:
    return call["function"].get("arguments") or "{}"


def items(shown: ShownResponse, output: Output) -> list[Item]:
    """The output as items: what was thought, what was said, what is called."""
    request = shown.request
    status = "incomplete" if output.final.finish_reason == "length" else "completed"
    found: list[Item] = []
    if output.thinking:
        found.append(_thought(f"rs_{request}", output.thinking, status))
    if output.text or not (output.thinking or output.tool_calls):
        found.append(_message(f"msg_{request}", output.text, status))
    for index, call in enumerate(output.tool_calls):
        found.append(shown.call(f"fc_{request}_{index}", call, _arguments(call), "completed"))
    return found


class ResponseEvents:
    """Renders the events of one stream: output items one after the other, each opened, filled and closed."""

    def __init__(self, shown: ShownResponse) -> None:
        self._request = shown.request
        self._shown = shown
        self.answer: Item = {}
        """The response, once it has ended."""
        self.number = 0
        self._items: list[Item] = []
        self._open = ""
        self._id = ""
        self._parts: list[str] = []
        self._head = b""
        self._calls = Calls(one_by_one=True)
        self._call: Item = {}
        """The one that is open."""

    def _event(self, name: str, /, **fields: Any) -> bytes:
        data = encode({"type": name, "sequence_number": self.number, **fields})
        self.number += 1
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"

    def _response(self, final: Final | None) -> Item:
        return self._shown.response(self._items, final)

    def first(self) -> bytes:
        begun = self._event("response.created", response=self._response(None))
        return begun + self._event("response.in_progress", response=self._response(None))

    def delta(self, delta: Delta) -> bytes:
        part = b""
        delta = self._calls.hold(delta)
        if delta.thinking:
            part += self._into("reasoning") + self._add(delta.thinking)
        if delta.text:
            part += self._into("message") + self._add(delta.text)
        if delta.tool_calls or delta.call_parts:
            for piece in self._calls.pieces(delta):
                part += self._piece(piece)
            for each in self._calls.released():
                part += self.delta(each)
        return part

    def _add(self, text: str) -> bytes:
        self._parts.append(text)
        number = str(self.number).encode()
        self.number += 1
        return self._head + number + b',"delta":' + encode(text) + b"}\n\n"

    def _into(self, kind: str) -> bytes:
        """Be in an item of that kind; what all its deltas share is encoded once."""
        if self._open == kind:
            return b""
        part = self._close("completed")
        self._open, self._parts = kind, []
        index = len(self._items)
        place: Item = {"output_index": index, "content_index": 0}
        if kind == "message":
            self._id, name = f"msg_{self._request}_{index}", "response.output_text.delta"
            item, empty = _message(self._id, None, "in_progress"), _text_part("")
        else:
            self._id, name = f"rs_{self._request}_{index}", "response.reasoning_text.delta"
            item, empty = _thought(self._id, "", "in_progress"), {"type": "reasoning_text", "text": ""}
        shared = {"type": name, "item_id": self._id, **place, **({"logprobs": []} if kind == "message" else {})}
        self._head = b"event: " + name.encode() + b"\ndata: " + encode(shared)[:-1] + b',"sequence_number":'
        part += self._event("response.output_item.added", output_index=index, item=item)
        return part + self._event("response.content_part.added", item_id=self._id, **place, part=empty)

    def _close(self, status: str) -> bytes:
        if not self._open:
            return b""
        if self._open == "call":
            return self._close_call(status)
        text, index = "".join(self._parts), len(self._items)
        place: Item = {"item_id": self._id, "output_index": index, "content_index": 0}
        if self._open == "message":
            item, whole = _message(self._id, text, status), _text_part(text)
            part = self._event("response.output_text.done", **place, text=text, logprobs=[])
        else:
            item, whole = _thought(self._id, text, status), {"type": "reasoning_text", "text": text}
            part = self._event("response.reasoning_text.done", **place, text=text)
        self._open = ""
        self._items.append(item)
        part += self._event("response.content_part.done", **place, part=whole)
        return part + self._event("response.output_item.done", output_index=index, item=item)

    def _piece(self, piece: Piece) -> bytes:
        part, index = b"", len(self._items)
        if piece.call is not None:
            part += self._close("completed")
            index = len(self._items)
            self._open, self._parts, self._call = "call", [], piece.call
            self._id = f"fc_{self._request}_{index}"
            item = self._shown.call(self._id, piece.call, "", "in_progress")
            part += self._event("response.output_item.added", output_index=index, item=item)
        if piece.arguments:
            self._parts.append(piece.arguments)
            place: Item = {"item_id": self._id, "output_index": index}
            part += self._event("response.function_call_arguments.delta", **place, delta=piece.arguments)
        return part + (self._close("completed") if piece.whole else b"")

    def _close_call(self, status: str) -> bytes:
        index, arguments = len(self._items), "".join(self._parts)
        place: Item = {"item_id": self._id, "output_index": index}
        item = self._shown.call(self._id, self._call, arguments, status)
        self._open = ""
        self._items.append(item)
        done = self._event("response.function_call_arguments.done", **place, name=item["name"], arguments=arguments)
        return done + self._event("response.output_item.done", output_index=index, item=item)

    def end(self, final: Final) -> bytes:
        cut = final.finish_reason == "length"
        part = b"" if self._items or self._open else self._into("message")
        part += self._close("incomplete" if cut else "completed")
        self.answer = self._response(final)
        return part + self._event(f"response.{'incomplete' if cut else 'completed'}", response=self.answer)


class Response(Renderer):
    """A ``response``, or its events; ``keeps`` has it kept before its end goes out."""

    content_type = EVENT_STREAM

    def __init__(self, shown: ShownResponse, keeps: Kept) -> None:
        self._shown = shown
        self._keeps = keeps
        self._events: ResponseEvents | None = None
        self._answer: Item = {}
        self.before_end = self._keep

    def whole(self, outputs: list[Output]) -> bytes:
        (output,) = outputs
        self._answer = self._shown.response(items(self._shown, output), output.final)
        return encode(self._answer)

    def choice(self, index: int) -> ResponseEvents:
        self._events = ResponseEvents(self._shown)
        return self._events

    async def _keep(self) -> None:
        await self._keeps.end(self._answer if self._events is None else self._events.answer)

    def failed(self, error: OllamaMaxError) -> None:
        """An event of the stream says so, which has a number as all have."""
        if self._events is not None:
            error.fields["sequence_number"] = self._events.number


class CountedInput(Renderer):
    """The answer of ``/v1/responses/input_tokens``."""

    def whole(self, outputs: list[Output]) -> bytes:
        return encode({"object": "response.input_tokens", "input_tokens": outputs[0].final.counted})
