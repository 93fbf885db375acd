"""OpenAI's inference API as the engines speak it: bodies out of an `Inference`, and answers of one piece. Pure.

Servers differ in what they accept beyond OpenAI's own fields; a `Dialect` says what.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cluster.engines.base import unsupported
from cluster.engines.json_grammar import grammar_of
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed

_COMMON = frozenset(
    {"max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias"}
)
_BEYOND = (
    *("top_k", "min_p", "repeat_penalty", "min_tokens", "stop_token_ids", "ignore_eos"),
    *("typical_p", "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta"),
)
"""Options that OpenAI's own API does not have."""
_OFF: dict[str, tuple[float, ...]] = {
    "top_k": (0, -1),
    "min_p": (0.0,),
    "typical_p": (1.0,),
    "repeat_penalty": (1.0,),
    "mirostat": (0,),
    "min_tokens": (0,),
    "ignore_eos": (False,),
}
"""Their values that ask for nothing."""


@dataclass(frozen=True)
class Dialect:
    """One server's additions: ``options`` maps ours to its names; the flags are request fields it knows.

    ``thinking``: ``template`` passes switches to the chat template, ``effort`` knows only ``reasoning_effort``.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    timings: bool = False
    continuous_usage: bool = False
    thinking: str = "effort"
    suffix: bool = True
    goes_on: bool = False
    """Whether it goes on with an answer that was begun."""


LLAMACPP = Dialect(
    "llamacpp",
    {name: name for name in _BEYOND if name not in {"min_tokens", "stop_token_ids"}},
    timings=True,
    thinking="template",
    suffix=False,
    goes_on=True,
)
VLLM = Dialect(
    "vllm",
    {
        **{name: name for name in ("top_k", "min_p", "min_tokens", "stop_token_ids", "ignore_eos")},
        "repeat_penalty": "repetition_penalty",
    },
    continuous_usage=True,
    thinking="template",
    goes_on=True,
)
SGLANG = Dialect("sglang", VLLM.options, thinking="template", goes_on=True)
PLAIN = Dialect("openai")


def dialect_of(owner: str) -> Dialect:
    """The dialect of the server whose ``/v1/models`` says ``owned_by: owner``."""
    return {d.name: d for d in (LLAMACPP, VLLM, SGLANG)}.get(owner.lower().replace(".", ""), PLAIN)


def body(engine: str, inference: contract.Inference, model: str, dialect: Dialect) -> dict[str, Any]:
    """The JSON body for ``/v1/chat/completions`` or ``/v1/completions``. Raises `Unsupported`."""
    if inference.context:
        raise unsupported(engine, "context", "its API takes a conversation as messages only")
    request: dict[str, Any] = {"model": model}
    if inference.delivery != "once":
        request |= _streamed(dialect)
    request |= _options(engine, inference.options, dialect)
    request |= (
        _chat(engine, inference, dialect) if inference.kind == "chat" else _completion(engine, inference, dialect)
    )
    if inference.format is not None:
        request |= _format(inference.format, dialect)
    if inference.logprobs:
        request |= _logprobs(inference, dialect)
    if inference.think is not None:
        request |= _thinking(engine, inference, dialect)
    if inference.template_kwargs:
        if dialect.thinking != "template" or inference.kind != "chat":
            raise unsupported(engine, "chat_template_kwargs", f"its server ({dialect.name}) has no such field")
        request["chat_template_kwargs"] = request.get("chat_template_kwargs", {}) | inference.template_kwargs
    return request


def _streamed(dialect: Dialect) -> dict[str, Any]:
    found: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    if dialect.timings:
        found["timings_per_token"] = True
    if dialect.continuous_usage:
        found["stream_options"]["continuous_usage_stats"] = True
    return found


def _logprobs(inference: contract.Inference, dialect: Dialect) -> dict[str, Any]:
    # llama.cpp takes 0 for "none at all"; what is too many is left out when they come.
    top = max(1, inference.top_logprobs) if dialect is LLAMACPP else inference.top_logprobs
    return {"logprobs": True, "top_logprobs": top} if inference.kind == "chat" else {"logprobs": top}


def _format(value: str | dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    if dialect is LLAMACPP:
        # Of a schema it would leave out what it does not know.
        return {"grammar": grammar_of(value)}
    if isinstance(value, dict):
        schema = {"name": "response", "schema": value, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}}


def _options(engine: str, options: contract.Options, dialect: Dialect) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(options).items():  # those that say something
        if name == "stop":
            if stop := [each for each in value if each]:
                found["stop"] = stop
        elif name == "max_tokens" and value < 0:
            continue  # until the model stops, which is what they do without it
        elif name in _COMMON:
            found[name] = value
        elif name in dialect.options:
            found[dialect.options[name]] = value
        elif name in _BEYOND and not _asks_nothing(name, options):
            raise unsupported(engine, name, f"its server ({dialect.name}) has no such option")
    return found


def _asks_nothing(name: str, options: contract.Options) -> bool:
    """Whether an option has the value that switches it off, or belongs to one that is off."""
    if name == "repeat_last_n":
        return options.repeat_penalty in (None, 1.0)
    if name in {"mirostat_tau", "mirostat_eta"}:
        return not options.mirostat
    return getattr(options, name) in _OFF.get(name, ())


def _chat(engine: str, inference: contract.Inference, dialect: Dialect) -> dict[str, Any]:
    messages = [known_role(message) for message in inference.messages]
    begun = is_begun(inference)
    if inference.continued:
        if not dialect.goes_on:
            raise unsupported(engine, "continued", f"its server ({dialect.name}) begins every answer anew")
        messages = with_continued(messages, inference.continued)
    found: dict[str, Any] = {"messages": messages}
    if begun and dialect.goes_on and dialect is not LLAMACPP:  # which does so by itself
        found |= {"continue_final_message": True, "add_generation_prompt": False}
    if inference.tools:
        found["tools"] = inference.tools
    if inference.tool_choice is not None:
        found["tool_choice"] = inference.tool_choice
    if inference.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = inference.parallel_tool_calls
    return found


def known_role(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's own templates alone know ``developer``; all take ``system`` for the same."""
    return message | {"role": "system"} if message.get("role") == "developer" else message


def is_begun(inference: contract.Inference) -> bool:
    """Whether the last message is the beginning of the answer, which goes on from there."""
    if inference.kind != "chat":
        return False
    last = inference.messages[-1] if inference.messages else {}
    return bool(inference.continued) or (last.get("role") == "assistant" and not last.get("tool_calls"))


def with_continued(messages: list[dict[str, Any]], continued: str) -> list[dict[str, Any]]:
    """The messages, the last of which is the assistant's own and ends in what was said so far."""
    last = messages[-1] if messages else {}
    if last.get("role") != "assistant" or last.get("tool_calls"):
        return [*messages, {"role": "assistant", "content": continued}]
    content = last.get("content") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content)
    return [*messages[:-1], last | {"content": content + continued}]


def _completion(engine: str, inference: contract.Inference, dialect: Dialect) -> dict[str, Any]:
    if inference.tools:
        raise unsupported(engine, "tools", "a plain completion has no chat template")
    found: dict[str, Any] = {"prompt": inference.prompt_ids or inference.prompt}
    if inference.suffix:
        if not dialect.suffix:
            raise unsupported(engine, "suffix")
        found["suffix"] = inference.suffix
    return found


def _thinking(engine: str, inference: contract.Inference, dialect: Dialect) -> dict[str, Any]:
    if inference.kind != "chat":
        raise unsupported(engine, "think", "a plain completion has no chat template")
    if dialect.thinking == "template":
        # Templates call the switch by one of two names.
        switch = {"enable_thinking": bool(inference.think), "thinking": bool(inference.think)}
        level = {"reasoning_effort": inference.think} if isinstance(inference.think, str) else {}
        return {"chat_template_kwargs": switch | level}
    if isinstance(inference.think, str):
        return {"reasoning_effort": inference.think}
    if not inference.think:
        return {"reasoning_effort": "none"}
    raise unsupported(engine, "think", f"its server ({dialect.name}) knows only levels of effort")


def scores(engine: str, answer: Any, documents: int, *, total_ms: float) -> contract.Final:
    """The end of a ``rerank`` request, from the answer of ``/v1/rerank``, in the order of the documents."""
    rows = {row["index"]: float(row["relevance_score"]) for row in answer["results"]}
    if rows.keys() != set(range(documents)) or not all(map(math.isfinite, rows.values())):
        raise EngineFailed(f"The {engine} engine did not give each of {documents} documents a score.")
    usage = answer.get("usage") or {}
    return contract.Final(
        # Some servers count only the total, which is the same: nothing is generated.
        prompt_tokens=usage.get("prompt_tokens") or usage.get("total_tokens", 0),
        total_ms=total_ms,
        scores=[rows[index] for index in range(documents)],
    )


def embeddings(
    engine: str, answer: dict[str, Any], inputs: int, dimensions: int | None, *, total_ms: float
) -> contract.Final:
    """The end of an ``embed`` request, from the answer of ``/v1/embeddings``, in the order of the inputs."""
    rows = sorted(answer["data"], key=lambda row: row["index"])
    usage = answer.get("usage") or {}
    return contract.Final(
        prompt_tokens=usage.get("prompt_tokens", 0),
        total_ms=total_ms,
        embeddings=vectors(engine, [row["embedding"] for row in rows], inputs, dimensions),
    )


def vectors(engine: str, found: list[list[float]], inputs: int, dimensions: int | None) -> list[list[float]]:
    """The vectors, if there is one for each input, of the length that was asked for, and each number is one.

    Raises `EngineFailed`, and `Unsupported` for ``dimensions`` that the engine did not obey.
    """
    lengths = {len(vector) for vector in found}
    if len(found) != inputs or len(lengths) > 1 or 0 in lengths:
        raise EngineFailed(
            f"The {engine} engine sent {len(found)} vectors of lengths {sorted(lengths)[:4]} for {inputs} inputs."
        )
    if not all(math.isfinite(each) for vector in found for each in vector):
        raise EngineFailed(f"The {engine} engine sent a vector with what is no number.")
    if dimensions is not None and lengths and lengths != {dimensions}:
        raise unsupported(engine, "dimensions", f"asked for {dimensions}, it gave {lengths.pop()}")
    return found
