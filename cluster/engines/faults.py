"""Whose fault an engine's error is, by what the engine says: one table for each kind of engine. Pure.

A status tells little: llama.cpp and Ollama answer 500 to an image they cannot read, and to a template that refuses a role.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from ollamamax.kernel.errors import (
    ContextTooLong,
    EngineFailed,
    InvalidRequest,
    ModelNotFound,
    NotObeyed,
    OllamaMaxError,
    Overloaded,
    Unavailable,
)

Fault = Literal["too_long", "input", "capacity", "answer", "engine"]
"""``too_long``: more tokens than the context; ``input``: the request's own; ``capacity``: not now, or not on this host;
``answer``: what the model wrote; ``engine``: all else."""

_TOO_LONG = (
    # OpenAI and what follows it; llama.cpp, for a chat, for a text to embed, and in the middle of an answer
    r"context_length_exceeded|exceed_context_size|exceeds the available context size|is too large to process"
    r"|context size has been exceeded"
    # vLLM, SGLang, Ollama
    r"|maximum (context|input|prompt) length|longer than the model's context length|exceeds the context length"
    r"|prompt( is)? too long|exceeded max context length"
    # TGI
    r"|`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than"
)
# Templates of Hugging Face refuse by `raise_exception`, in words of their authors.
_TEMPLATE = (
    r"jinja|chat template|templateerror|message role|conversation roles|roles? must alternate|roles? (is|are) supported"
)
_IMAGE = (
    r"(load|decode|process|identify|open|read) (the )?(image|audio|video|input)|(image|audio|video) input is not supported"
    r"|(invalid|unsupported|corrupt|unknown)[^.]{0,20}(image|audio|video|base64)|image: unknown format"
    r"|at most \d+ (image|audio|video)|not a multimodal model|does not support (image|audio|video|vision|multimodal)"
)
_MEMORY = r"out of memory|more system memory|cudamalloc|failed to allocate|unable to allocate|cannot allocate memory"
_GRAMMAR = r"(parse|convert|compile|invalid|unsupported|initialize)[^.]{0,30}(grammar|schema|samplers|regex)|json schema conversion"

_ROWS: Mapping[str, tuple[tuple[Fault, str], ...]] = {
    "llamacpp": (
        ("too_long", _TOO_LONG),
        ("answer", r"does not match the expected [\w-]+ format"),
        ("capacity", rf"{_MEMORY}|slot unavailable|no free slot|free space in the KV cache"),
        ("input", rf"{_TEMPLATE}|{_IMAGE}|{_GRAMMAR}|unsupported content|invalid_request_error|\[json\.exception"),
    ),
    "ollama": (
        ("too_long", _TOO_LONG),
        ("capacity", rf"{_MEMORY}|server busy|maximum pending requests"),
        ("input", rf"{_IMAGE}|{_GRAMMAR}|does not support|template: |invalid (format|role|option|message)"),
    ),
    "openai": (
        ("too_long", _TOO_LONG),
        ("capacity", rf"{_MEMORY}|overloaded|rate limit|too many requests|queue is full"),
        ("input", rf"{_TEMPLATE}|{_IMAGE}|{_GRAMMAR}|badrequesterror|invalid_request_error|validation error"),
    ),
}
_TABLES = {
    engine: tuple((fault, re.compile(text, re.IGNORECASE)) for fault, text in rows) for engine, rows in _ROWS.items()
}


def fault_of(engine: str, text: str) -> Fault:
    """What an error's text says; ``engine`` when it says nothing that is known."""
    return next((fault for fault, said in _TABLES[engine] if said.search(text)), "engine")


def error_of(engine: str, status: int, text: str, message: str, model: str = "this model") -> OllamaMaxError:
    """The error that an engine's answer stands for: ``text`` is all of it, ``message`` what a person reads.

    ``status`` is 500 for an error in the middle of a stream.
    """
    fault = fault_of(engine, text)
    if fault == "too_long" and status in {400, 413, 422, 500}:
        return ContextTooLong(message, param="messages")
    match status:
        case 404:
            return ModelNotFound(f"The {engine} engine does not know {model}: {message}", param="model")
        case 400 | 413 | 415 | 422:
            return InvalidRequest(message)
        case 401 | 403:
            return EngineFailed(f"The {engine} engine refused the node's own key: {message}")
        case 429:
            return Overloaded(f"The {engine} engine is full: {message}", retry_after=1.0)
        case 503 if fault != "input":
            return Unavailable(f"The {engine} engine is not ready: {message}", retry_after=1.0)
    match fault:
        case "input":
            return InvalidRequest(f"The {engine} engine cannot take this request: {message}")
        case "capacity":
            return Overloaded(f"The {engine} engine has no room for this: {message}", retry_after=1.0)
        case "answer":
            return NotObeyed(f"The model wrote what its own format does not allow: {message}")
    return EngineFailed(f"The {engine} engine failed: {message}")
