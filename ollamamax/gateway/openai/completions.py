"""OpenAI's plain completions (https://platform.openai.com/docs/api-reference/completions): no chat template is applied."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.contract import Delta, Final, Inference
from ollamamax.gateway import http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send, encode
from ollamamax.gateway.openai.requests import IGNORED as IGNORED_IN_CHAT
from ollamamax.gateway.openai.requests import StreamOptions, between, refuse, sampling
from ollamamax.gateway.openai.responses import DONE, EVENT_STREAM, usage
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

DEFAULT_MAX_TOKENS = 16
"""As OpenAI's: without a chat template many models never stop by themselves."""


class CompletionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The prompt is one text; the engines' tokenizers differ, so that tokens are refused."""

    model: str
    prompt: str | list[Any]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    suffix: str | None = None
    echo: bool | None = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    # Extensions that vLLM and llama.cpp share.
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    # Ignored.
    user: str | None = None
    # Refused.
    n: int | None = None
    best_of: int | None = None
    logit_bias: dict[str, float] | None = None


decoder = msgspec.json.Decoder(CompletionRequest)
IGNORED = {"user": IGNORED_IN_CHAT["user"]}
UNSUPPORTED: dict[str, tuple[Any, ...]] = {"n": (None, 1), "best_of": (None, 1), "logit_bias": (None, {})}


def to_inference(request: CompletionRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    refuse(request, UNSUPPORTED)
    between("logprobs", request.logprobs, 0, 5)
    if request.echo and (request.logprobs is not None or request.suffix):
        raise errors.Unsupported("'echo' does not go with 'logprobs' or 'suffix' on this server.", param="echo")
    return Inference(
        kind="completion",
        prompt=_prompt(request.prompt),
        suffix=request.suffix,
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs or 0,
        options=sampling(request, request.max_tokens if request.max_tokens is not None else DEFAULT_MAX_TOKENS),
    )


def _prompt(given: str | list[Any]) -> str:
    if isinstance(given, list):
        if len(given) != 1 or not isinstance(given[0], str):
            what = "tokens" if any(isinstance(each, int | list) for each in given) else "several prompts"
            raise errors.Unsupported(f"'prompt' must be one text here; {what} are not supported.", param="prompt")
        given = given[0]
    if not given:
        raise errors.InvalidRequest("'prompt' must not be empty.", param="prompt")
    return given


class Chunks:
    """Renders the chunks of one stream; what they share is encoded once."""

    def __init__(self, request: str, model: str, created: int, *, include_usage: bool, echo: str) -> None:
        head = {"id": f"cmpl-{request}", "object": "text_completion", "created": created, "model": model}
        self._head = b"data: " + encode(head)[:-1]
        self._text = (b',"usage":null' if include_usage else b"") + b',"choices":[{"index":0,"text":'
        self._include_usage = include_usage
        self._echo = echo
        self._offset = len(echo)

    def first(self) -> bytes:
        return self._chunk(self._echo) if self._echo else b""

    def _chunk(self, text: str, logprobs: bytes = b"null", reason: bytes = b"null", continued: int = 0) -> bytes:
        end = f',"continued":{continued}}}\n\n'.encode() if continued else b"}\n\n"
        rest = b',"logprobs":' + logprobs + b',"finish_reason":' + reason + b"}]" + end
        return self._head + self._text + encode(text) + rest

    def delta(self, delta: Delta) -> bytes:
        logprobs = encode(legacy_logprobs(delta.logprobs, self._offset)) if delta.logprobs else b"null"
        self._offset += len(delta.text)
        return self._chunk(delta.text, logprobs) if delta.text else b""

    def last(self, final: Final) -> bytes:
        end = self._chunk("", reason=encode(final.finish_reason), continued=final.continued)
        if self._include_usage:
            end += self._head + b',"choices":[],"usage":' + encode(usage(final)) + b"}\n\n"
        return end + DONE


def legacy_logprobs(entries: list[dict[str, Any]], offset: int = 0) -> dict[str, Any]:
    """The form that only this endpoint has: parallel lists."""
    found: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for entry in entries:
        found["tokens"].append(entry["token"])
        found["token_logprobs"].append(entry["logprob"])
        found["top_logprobs"].append({each["token"]: each["logprob"] for each in entry["top_logprobs"]})
        found["text_offset"].append(offset)
        offset += len(entry["token"])
    return found


async def completions(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(decoder, await service.body(scope, receive))
    inference = to_inference(body)
    created = int(call.received_at)
    echo = inference.prompt if body.echo else ""
    opening = relay.Opening(send, EVENT_STREAM, call.headers(), relay.comment)
    tell = opening.tell if body.stream else None
    async with service.execution(call, body.model, inference, receive, tell=tell, whole=not body.stream) as execution:
        if body.stream:
            include_usage = body.stream_options is not None and body.stream_options.include_usage
            chunks = Chunks(call.id, body.model, created, include_usage=include_usage, echo=echo)
            await relay.stream(execution, opening, first=chunks.first, delta=chunks.delta, last=chunks.last)
            return
        output = await relay.gather(execution)
        choice = {
            "index": 0,
            "text": echo + output.text,
            "logprobs": legacy_logprobs(output.logprobs) if output.logprobs else None,
            "finish_reason": output.final.finish_reason,
        }
        answer = {
            "id": f"cmpl-{call.id}",
            "object": "text_completion",
            "created": created,
            "model": body.model,
            "choices": [choice],
            "usage": usage(output.final),
        }
        await http.respond(send, 200, encode(answer), execution.headers())
