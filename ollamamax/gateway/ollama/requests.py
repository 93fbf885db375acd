"""Ollama's requests (https://github.com/ollama/ollama/blob/main/docs/api.md) and what we make of them."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Literal

import msgspec

from ollamamax.contract import Inference, Options
from ollamamax.kernel import errors

# Ollama ignores fields that it does not know, so these structs do too.


class ToolFunction(msgspec.Struct):
    name: str
    arguments: dict[str, Any] = {}


class ToolCall(msgspec.Struct):
    function: ToolFunction
    id: str | None = None


class Message(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class SamplingOptions(msgspec.Struct):
    """Ollama's ``options``. What only concerns how a host loads a model is decided by the fleet, not by a request."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: list[str] | str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    num_ctx: int | None = None
    # Refused: they would change the answer, and the engines have no common form of them.
    typical_p: float | None = None
    mirostat: int | None = None
    repeat_last_n: int | None = None
    tfs_z: float | None = None


LEFT_TO_THE_FLEET = (
    *("num_keep", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "vocab_only", "use_mmap", "use_mlock"),
    *("num_thread", "numa", "logits_all", "embedding_only", "mirostat_tau", "mirostat_eta", "penalize_newline"),
)
"""Options that are taken and change nothing: how a node loads a model is its owner's affair, the rest is of no effect alone."""
UNSUPPORTED_OPTIONS = ("typical_p", "mirostat", "repeat_last_n", "tfs_z")


class _Common(msgspec.Struct):
    model: str
    stream: bool | None = True
    options: SamplingOptions | None = None
    format: str | dict[str, Any] | None = None
    keep_alive: float | str | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ChatRequest(_Common, kw_only=True):
    messages: list[Message] = []
    tools: list[dict[str, Any]] | None = None


class GenerateRequest(_Common, kw_only=True):
    prompt: str = ""
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = False
    images: list[str] | None = None
    context: list[int] | None = None
    # For models that make images.
    width: int | None = None
    height: int | None = None
    steps: int | None = None


UNSUPPORTED = ("template", "context", "width", "height", "steps")
"""Fields of ``/api/generate`` that are refused."""

chat_decoder = msgspec.json.Decoder(ChatRequest)
generate_decoder = msgspec.json.Decoder(GenerateRequest)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def chat_inference(request: ChatRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    if not request.messages:
        return _memory(request)
    return Inference(
        kind="chat",
        messages=[_message(message) for message in request.messages],
        tools=request.tools or [],
        **_common(request),
    )


def generate_inference(request: GenerateRequest) -> Inference:
    """A prompt goes through the model's chat template, as in Ollama, unless it is ``raw``."""
    for name in UNSUPPORTED:
        if getattr(request, name):
            raise errors.Unsupported(f"'{name}' is not supported by this server.", param=name)
    if not request.prompt:
        return _memory(request)
    if request.raw or request.suffix is not None:
        for name in ("system", "images"):
            if getattr(request, name):
                raise errors.InvalidRequest(f"'{name}' does not go with a raw prompt or a suffix.", param=name)
        return Inference(kind="completion", prompt=request.prompt, suffix=request.suffix, **_common(request))
    messages = [_message(Message("system", request.system))] if request.system else []
    messages.append(_message(Message("user", request.prompt, images=request.images)))
    return Inference(kind="chat", messages=messages, **_common(request))


def only_memory(inference: Inference) -> bool:
    """Whether nothing is generated: the model is loaded, or unloaded."""
    return inference.kind == "chat" and not inference.messages


def _memory(request: _Common) -> Inference:
    options = Options(num_ctx=request.options.num_ctx if request.options else None)
    return Inference(kind="chat", keep_alive=seconds(request.keep_alive), options=options)


def _common(request: _Common) -> dict[str, Any]:
    if request.top_logprobs and not request.logprobs:
        raise errors.InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    if request.top_logprobs is not None and not 0 <= request.top_logprobs <= 20:
        raise errors.InvalidRequest("'top_logprobs' must be between 0 and 20.", param="top_logprobs")
    given = request.options or SamplingOptions()
    refuse_options(given)
    if isinstance(request.format, str) and request.format not in {"", "json"}:
        raise errors.InvalidRequest("'format' must be \"json\" or a JSON schema.", param="format")
    return {
        "format": request.format or None,
        "think": request.think,
        "keep_alive": seconds(request.keep_alive),
        "logprobs": bool(request.logprobs),
        "top_logprobs": request.top_logprobs or 0,
        "options": Options(
            # -1 means "until the model stops", -2 "until the context is full": the first, in all our engines.
            max_tokens=given.num_predict if given.num_predict is None else max(-1, given.num_predict),
            temperature=given.temperature,
            top_p=given.top_p,
            top_k=given.top_k,
            min_p=given.min_p,
            seed=given.seed,
            stop=[given.stop] if isinstance(given.stop, str) else given.stop or [],
            presence_penalty=given.presence_penalty,
            frequency_penalty=given.frequency_penalty,
            repeat_penalty=given.repeat_penalty,
            num_ctx=given.num_ctx,
        ),
    }


def refuse_options(given: SamplingOptions) -> None:
    for name in UNSUPPORTED_OPTIONS:
        if getattr(given, name) is not None:
            raise errors.Unsupported(f"option '{name}' is not supported by this server.", param=f"options.{name}")


def seconds(keep_alive: float | str | None) -> float | None:
    """A number of seconds, or a Go duration such as ``5m`` or ``1h30m``; negative means for ever."""
    if keep_alive is None or isinstance(keep_alive, int | float):
        return keep_alive
    text = keep_alive.strip()
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return sign * float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise errors.InvalidRequest(f"'keep_alive' is not a duration: {keep_alive!r}.", param="keep_alive")
    return sign * sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _message(message: Message) -> dict[str, Any]:
    """As an OpenAI chat message."""
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        made["content"] = [
            *([{"type": "text", "text": message.content}] if message.content else []),
            *({"type": "image_url", "image_url": {"url": _data_url(image)}} for image in message.images),
        ]
    if message.thinking:
        made["reasoning_content"] = message.thinking
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id or f"call_{index}",
                "type": "function",
                "function": {
                    "name": call.function.name,
                    "arguments": msgspec.json.encode(call.function.arguments).decode(),
                },
            }
            for index, call in enumerate(message.tool_calls)
        ]
    if message.role == "tool":
        made["tool_call_id"] = message.tool_call_id or "call_0"
        if message.tool_name:
            made["name"] = message.tool_name
    return made


_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"GIF8": "image/gif"}


def _data_url(image: str) -> str:
    try:
        start = base64.b64decode(image[:16], validate=True)
    except binascii.Error:
        raise errors.InvalidRequest("'images' must hold base64 text.", param="images") from None
    media_type = next((name for magic, name in _MEDIA_TYPES.items() if start.startswith(magic)), None)
    if media_type is None:
        raise errors.InvalidRequest("'images' must hold PNG, JPEG, WebP or GIF images.", param="images")
    return f"data:{media_type};base64,{image}"
