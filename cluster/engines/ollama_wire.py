"""Ollama's API (https://github.com/ollama/ollama/blob/main/docs/api.md) as bodies and chunks. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from cluster.engines.base import unsupported
from cluster.engines.demanded_call import demanded, schema_of_call
from cluster.engines.faults import error_of
from cluster.engines.json_grammar import grammar_of
from cluster.engines.openai_wire import vectors, with_continued
from cluster.engines.schema_merge import subschemas
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, InvalidRequest, OllamaMaxError
from ollamamax.kernel.ids import new_id

_OPTIONS = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
    "typical_p": "typical_p",
    "repeat_last_n": "repeat_last_n",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
_CANNOT = ("logit_bias", "min_tokens", "stop_token_ids", "ignore_eos")
_REASONS: dict[str, contract.FinishReason] = {"length": "length", "load": "load", "unload": "unload"}


def chat(inference: contract.Inference, model: str) -> dict[str, Any]:
    """The body for ``/api/chat``. Raises `Unsupported` and `InvalidRequest`."""
    given = inference.messages
    if inference.continued:
        # Templates leave the last message open when it is the assistant's.
        given = with_continued(given, inference.continued)
    request = _common(inference, model) | {"messages": messages(given)}
    tools = inference.tools
    if inference.tool_choice == "none":
        tools = []  # what the caller wants: no tool is called
    elif names := demanded(inference):
        # Ollama has no such field. Its grammar lets nothing through but a call, whether or not it sees that it is one.
        tools = [tool for tool in tools if tool["function"].get("name") in names]
        return request | {"tools": tools, "format": schema_of_call(tools, names)}
    if tools:
        if inference.parallel_tool_calls is False:
            raise unsupported("ollama", "parallel_tool_calls", "its models choose themselves how many tools they call")
        request["tools"] = tools
    return request


def generate(inference: contract.Inference, model: str) -> dict[str, Any]:
    """The body for ``/api/generate``. A suffix needs the model's own template; otherwise no template is applied."""
    if inference.tools:
        raise unsupported("ollama", "tools", "a plain completion has no chat template")
    if inference.prompt_ids:
        raise unsupported("ollama", "prompt", "Ollama takes text only, no tokens")
    request = _common(inference, model) | {"prompt": inference.prompt}
    if inference.suffix:
        return request | {"suffix": inference.suffix}
    return request | {"raw": True}


def remembering(inference: contract.Inference, model: str) -> dict[str, Any]:
    """The body for ``/api/generate`` of a chat that is a prompt, and perhaps a system message before it: only there Ollama takes
    and gives ``context``."""
    *before, last = messages(inference.messages)
    request = _common(inference, model) | {"prompt": last["content"]}
    if before:
        request["system"] = before[0]["content"]
    if "images" in last:
        request["images"] = last["images"]
    return request | ({"context": inference.context} if inference.context else {})


def embed(inference: contract.Inference, model: str) -> dict[str, Any]:
    """The body for ``/api/embed``. Raises `Unsupported`."""
    if inference.input_ids:
        raise unsupported("ollama", "input", "Ollama takes text only, no tokens")
    request: dict[str, Any] = {"model": model, "input": inference.inputs}
    if inference.keep_alive is not None:
        request["keep_alive"] = inference.keep_alive
    for name in ("dimensions", "truncate"):
        if (value := getattr(inference, name)) is not None:
            request[name] = value
    return request


def _common(inference: contract.Inference, model: str) -> dict[str, Any]:
    request: dict[str, Any] = {"model": model, "stream": True, "options": options(inference.options)}
    if isinstance(inference.format, dict):
        _check_format(inference.format)
    for name in ("format", "think", "keep_alive"):
        if (value := getattr(inference, name)) is not None:
            request[name] = value
    if inference.template_kwargs:
        raise unsupported("ollama", "chat_template_kwargs", "Ollama's templates have no switches but 'think'")
    if inference.logprobs:
        request |= {"logprobs": True, "top_logprobs": inference.top_logprobs}
    return request


_PLAIN_PATTERN = re.compile(r"\^(?!.*(\(\?|\[\^))[^\\.^$\"]*\$", re.DOTALL)
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})


def _check_format(schema: dict[str, Any]) -> None:
    """Raises `Unsupported` for what of a schema Ollama's grammars leave out without a word."""
    grammar_of(schema)
    for each in subschemas(schema):
        if "pattern" in each and not _PLAIN_PATTERN.fullmatch(str(each["pattern"])):
            why = "its grammars know '^', '$' at the ends, letters, sets, groups and repetitions only"
            raise unsupported("ollama", "pattern", why)
        if each.get("type") == "number" and (found := _BOUNDS & each.keys()):
            raise unsupported("ollama", min(found), "its grammars bound integers only")


def options(given: contract.Options) -> dict[str, Any]:
    for name in _CANNOT:
        if getattr(given, name):
            raise unsupported("ollama", name, "Ollama has no such option")
    found = {theirs: value for ours, theirs in _OPTIONS.items() if (value := getattr(given, ours)) is not None}
    stop = [each for each in given.stop if each]
    return found | {"stop": stop} if stop else found


def messages(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI's messages in Ollama's form: images apart from the text, arguments as objects, tool results by name."""
    names: dict[str, str] = {}
    return [_message(message, names) for message in given]


def _message(message: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    text, images = _content(message.get("content"))
    found: dict[str, Any] = {"role": _role(message), "content": text}
    if images:
        found["images"] = images
    if calls := message.get("tool_calls"):
        for call in calls:
            names[call.get("id", "")] = call["function"]["name"]
        found["tool_calls"] = [_call(call) for call in calls]
    if (answered := message.get("tool_call_id")) is not None:
        found["tool_name"] = message.get("name") or names.get(answered, answered)
    if thinking := message.get("reasoning_content") or message.get("thinking"):
        found["thinking"] = thinking
    return found


def _role(message: dict[str, Any]) -> str:
    role: str = message["role"]
    return "system" if role == "developer" else role


def _content(content: Any) -> tuple[str, list[str]]:
    if not isinstance(content, list):
        return content or "", []
    text, images = [], []
    for part in content:
        if part.get("type") == "text":
            text.append(part["text"])
        elif part.get("type") == "image_url":
            url = part["image_url"]["url"] if isinstance(part["image_url"], dict) else part["image_url"]
            if not url.startswith("data:") or ";base64," not in url:
                raise unsupported("ollama", "image_url", "it takes images as base64 data only, not as addresses")
            images.append(url.partition(";base64,")[2])
        else:
            raise unsupported("ollama", f"content of type {part.get('type')}")
    return "\n".join(text), images


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except msgspec.DecodeError as error:
            raise InvalidRequest("The arguments of a tool call are not JSON.", param="messages") from error
    return {"function": {"name": function["name"], "arguments": arguments}}


class OllamaChunks:
    """Reads the NDJSON objects of one stream. Ollama sends one for each token it shows, and counts at the end."""

    def __init__(self, *, logprobs: bool = False) -> None:
        self.last: dict[str, Any] | None = None
        self.called = False
        self.tokens = 0
        self._logprobs = logprobs

    def delta(self, chunk: dict[str, Any]) -> contract.Delta | None:
        """What ``chunk`` adds; ``None`` for one without output. Raises `EngineFailed` for an error in the stream."""
        if "error" in chunk:
            raise error_of("ollama", 500, str(chunk["error"]), str(chunk["error"]))
        if chunk.get("done"):
            self.last = chunk
        message = chunk.get("message") or {}
        text = message.get("content") or chunk.get("response") or ""
        thinking = message.get("thinking") or chunk.get("thinking") or ""
        calls = [_openai_call(call) for call in message.get("tool_calls") or []]
        self.called = self.called or bool(calls)
        if not text and not thinking and not calls:
            return None
        self.tokens += 1
        logprobs = chunk.get("logprobs") or []
        if self._logprobs and text and not logprobs:
            raise unsupported("ollama", "logprobs", "this version of Ollama, or this model's runner, gives none")
        return contract.Delta(text, thinking, 1, calls, logprobs)

    def final(self) -> contract.Final:
        """The end, with Ollama's own counts. Raises `EngineFailed` when the stream ended without one."""
        if self.last is None:
            raise EngineFailed("The ollama engine ended the stream without finishing the answer.")
        last = self.last
        reason = _REASONS.get(last.get("done_reason") or "stop", "stop")
        return contract.Final(
            finish_reason="tool_calls" if self.called and reason == "stop" else reason,
            prompt_tokens=last.get("prompt_eval_count") or 0,
            completion_tokens=self.tokens if (made := last.get("eval_count")) is None else made,
            estimated=made is None or not last.get("prompt_eval_count"),
            load_ms=_ms(last, "load_duration"),
            prompt_ms=_ms(last, "prompt_eval_duration"),
            eval_ms=_ms(last, "eval_duration"),
            total_ms=_ms(last, "total_duration"),
            context=last.get("context") or [],
        )


def embedded(answer: dict[str, Any], inference: contract.Inference) -> contract.Final:
    """The end of an ``embed`` request. Raises `EngineFailed` for what cannot be its vectors."""
    return contract.Final(
        prompt_tokens=answer.get("prompt_eval_count", 0),
        load_ms=_ms(answer, "load_duration"),
        total_ms=_ms(answer, "total_duration"),
        embeddings=vectors("ollama", answer["embeddings"], len(inference.inputs), inference.dimensions),
    )


def shown(answer: dict[str, Any]) -> contract.Final:
    """The end of a ``show`` request: Ollama's own answer, without what only its own host could use (its Modelfile names files there)."""
    kept = ("template", "license", "system", "parameters", "messages", "details", "model_info", "capabilities")
    return contract.Final(info={name: answer[name] for name in kept if answer.get(name)})


_NO_THOUGHTS = re.compile(r"does not support thinking|think value .* is not supported")


def cannot_think(error: OllamaMaxError) -> bool:
    """Whether Ollama refuses the request for its ``think``, and for nothing else."""
    return _NO_THOUGHTS.search(error.message) is not None


def _ms(answer: dict[str, Any], name: str) -> float:
    return float(answer.get(name, 0)) / 1e6


def _openai_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = msgspec.json.encode(function.get("arguments") or {}).decode()
    return {
        "id": call.get("id") or f"call_{new_id()}",
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }
