"""OpenAI's plain completions (https://platform.openai.com/docs/api-reference/completions): no chat template is applied."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.contract import Delta, Final, Inference
from ollamamax.contract.fields import Fields
from ollamamax.gateway.asked import Asked, Notes, Output, Renderer, several
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.ollama.durations import seconds
from ollamamax.gateway.openai import others_words
from ollamamax.gateway.openai.embeddings import inputs
from ollamamax.gateway.openai.noted import note
from ollamamax.gateway.openai.requests import (
    MOST_CHOICES,
    Sampling,
    StreamOptions,
    between,
    response_format,
    sampling,
)
from ollamamax.gateway.openai.responses import DONE, EVENT_STREAM, usage
from ollamamax.kernel import errors

DEFAULT_MAX_TOKENS = 16
"""As OpenAI's: without a chat template many models never stop by themselves."""


MOST_PROMPTS = 128


class CompletionRequest(Sampling, kw_only=True, forbid_unknown_fields=True):
    """The prompt is a text or a list of tokens, or a list of either: each has answers of its own."""

    model: str
    prompt: str | list[Any]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    suffix: str | None = None
    echo: bool | None = False
    logprobs: int | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None


FIELDS = Fields(
    CompletionRequest,
    others_words.IGNORED,
    others_words.REFUSED,
    others_words.SAMPLING,
)


def to_inferences(request: CompletionRequest) -> list[Inference]:
    """``n`` for each prompt, in their order. Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    between("logprobs", request.logprobs, 0, 5)
    between("n", request.n, 1, MOST_CHOICES)
    texts, ids = inputs(request.prompt, "prompt")
    if (len(texts) + len(ids)) * (request.n or 1) > MOST_PROMPTS:
        raise errors.InvalidRequest(f"Up to {MOST_PROMPTS} answers may be asked for at once.", param="prompt")
    if request.echo and (request.logprobs is not None or request.suffix or ids):
        raise errors.Unsupported("'echo' does not go with 'logprobs', 'suffix' or tokens on this server.", param="echo")
    asked = Inference(
        kind="completion",
        suffix=request.suffix,
        format=response_format(request.response_format),
        keep_alive=seconds(request.keep_alive),
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs or 0,
        options=sampling(request, request.max_tokens if request.max_tokens is not None else DEFAULT_MAX_TOKENS),
    )
    prompts = [msgspec.structs.replace(asked, prompt=text) for text in texts]
    prompts += [msgspec.structs.replace(asked, prompt_ids=each) for each in ids]
    return [each for prompt in prompts for each in several(prompt, request.n or 1)]


class TextChunks:
    """Renders the chunks of one stream; what they share is encoded once."""

    def __init__(
        self, request: str, model: str, created: int, *, include_usage: bool, echo: str, index: int = 0
    ) -> None:
        head = {"id": f"cmpl-{request}", "object": "text_completion", "created": created, "model": model}
        self._head = b"data: " + encode(head)[:-1]
        self._text = (b',"usage":null' if include_usage else b"") + f',"choices":[{{"index":{index},"text":'.encode()
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

    def end(self, final: Final) -> bytes:
        """The end of this choice."""
        return self._chunk("", reason=encode(final.finish_reason), continued=final.continued)

    def done(self, finals: list[Final], each: int) -> bytes:
        """The end of the stream, with what all its choices used; ``each`` is how many one prompt has."""
        used = self._head + b',"choices":[],"usage":' + encode(total(finals, each)) + b"}\n\n"
        return (used if self._include_usage else b"") + DONE


def total(finals: list[Final], each: int) -> dict[str, Any]:
    """What all choices used; a prompt that ``each`` choices share is counted once."""
    found = usage(*finals)
    found["prompt_tokens"] = sum(final.prompt_tokens for final in finals[::each])
    found["total_tokens"] = found["prompt_tokens"] + found["completion_tokens"]
    found["prompt_tokens_details"] = {"cached_tokens": sum(final.cached_tokens for final in finals[::each])}
    return found


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


def parse(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = FIELDS.parse(body, notes.ignored, strict=notes.strict)
    affinity = note(notes, request.model, request)
    return Asked(
        model=request.model,
        inferences=to_inferences(request),
        body=request,
        stream=bool(request.stream),
        tier=request.service_tier,
        affinity=affinity,
    )


class TextCompletion(Renderer):
    """A ``text_completion``, or its chunks."""

    content_type = EVENT_STREAM

    def __init__(self, asked: Asked, request: str, model: str, created: int) -> None:
        self._body: CompletionRequest = asked.body
        self._echoed = [each.prompt if self._body.echo else "" for each in asked.inferences]
        self._of = (request, model, created)
        self._chunks: list[TextChunks] = []

    def choice(self, index: int) -> TextChunks:
        options = self._body.stream_options
        include_usage = options is not None and bool(options.include_usage)
        chunks = TextChunks(*self._of, include_usage=include_usage, echo=self._echoed[index], index=index)
        self._chunks.append(chunks)
        return chunks

    def done(self, finals: list[Final]) -> bytes:
        return self._chunks[0].done(finals, self._body.n or 1)

    def whole(self, outputs: list[Output]) -> bytes:
        request, model, created = self._of
        choices = [
            {
                "index": index,
                "text": echoed + output.text,
                "logprobs": legacy_logprobs(output.logprobs) if output.logprobs else None,
                "finish_reason": output.final.finish_reason,
            }
            for index, (echoed, output) in enumerate(zip(self._echoed, outputs, strict=True))
        ]
        return encode(
            {
                "id": f"cmpl-{request}",
                "object": "text_completion",
                "created": created,
                "model": model,
                "choices": choices,
                "usage": total([output.final for output in outputs], self._body.n or 1),
            }
        )


def render(asked: Asked, call: Call, model: str) -> TextCompletion:
    return TextCompletion(asked, call.id, model, int(call.received_at))
