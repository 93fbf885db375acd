"""Ollama's requests (https://github.com/ollama/ollama/blob/main/docs/api.md) and what we make of them; its server is the judge."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from ollamamax.contract import Inference, Options, as_ollama
from ollamamax.contract.as_ollama import OllamaFields
from ollamamax.contract.fields import RefusedField
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.asked import Asked, Notes
from ollamamax.gateway.ollama import options
from ollamamax.gateway.ollama.durations import seconds
from ollamamax.gateway.ollama.options import SamplingOptions
from ollamamax.kernel import errors

_MOST_TOKEN = 1 << 31
THINK_LEVELS = ("high", "medium", "low", "max")


class ToolFunction(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    arguments: dict[str, Any] | str = {}
    index: int | None = None


class OllamaToolCall(msgspec.Struct, forbid_unknown_fields=True):
    function: ToolFunction
    id: str | None = None
    type: str | None = None


class OllamaMessage(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


ROLES = frozenset({"system", "user", "assistant", "tool"})


class _Common(msgspec.Struct, forbid_unknown_fields=True):
    model: str = ""
    stream: bool | None = True
    options: SamplingOptions | None = None
    format: str | dict[str, Any] | None = None
    keep_alive: float | str | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None
    debug_render_only: bool | None = msgspec.field(default=None, name="_debug_render_only")


class ChatRequest(_Common, kw_only=True):
    messages: list[OllamaMessage] = []
    tools: list[dict[str, Any]] | None = None


class GenerateRequest(_Common, kw_only=True):
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    raw: bool | None = False
    images: list[str] | None = None
    context: list[int] | None = None


_RENDERED = RefusedField("prompts are rendered on the nodes", (False,))
IGNORED = options.IGNORED | dict.fromkeys(("truncate", "shift"), "a prompt that is too long is refused, never cut")
CHAT = OllamaFields(ChatRequest, IGNORED, {"_debug_render_only": _RENDERED}, defaults=options.LEFT_TO_THE_FLEET)
GENERATE = OllamaFields(
    GenerateRequest,
    IGNORED | dict.fromkeys(("width", "height", "steps"), "no model here makes pictures"),
    {
        "template": RefusedField(
            "a model is rendered by its own template; make one with another by /api/create", ("",)
        ),
        "_debug_render_only": _RENDERED,
    },
    defaults=options.LEFT_TO_THE_FLEET,
)


def parse_chat(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = CHAT.parse(body, notes.ignored)
    return _asked(request, notes, lambda: chat_inference(request, notes.ignored))


def parse_generate(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = GENERATE.parse(body, notes.ignored)
    return _asked(request, notes, lambda: generate_inference(request, notes.ignored))


def _asked(request: _Common, notes: Notes, to_inference: Callable[[], Inference]) -> Asked:
    notes.take(as_ollama.named(request.model))
    inference = to_inference()
    # A load, or an unload, is about the model itself.
    is_memory = only_memory(inference)
    return Asked(
        model=request.model,
        inferences=[inference],
        stream=request.stream is not False and not is_memory,
        may_fall_back=not is_memory,
    )


def chat_inference(request: ChatRequest, ignored: Ignored) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    common = _common(request, ignored)
    if not request.messages:
        return _memory(request)
    return Inference(
        kind="chat",
        messages=[_message(message, index) for index, message in enumerate(request.messages)],
        tools=[_tool(tool, index) for index, tool in enumerate(request.tools or [])],
        **common,
    )


def generate_inference(request: GenerateRequest, ignored: Ignored) -> Inference:
    """A prompt goes through the model's chat template, as in Ollama, unless it is ``raw``."""
    common = _common(request, ignored)
    if request.raw and any((request.system, request.context)):
        raise errors.InvalidRequest("raw mode does not support template, system, or context", param="raw")
    before = request.context or []
    if any(not 0 <= token < _MOST_TOKEN for token in before):
        raise errors.InvalidRequest("'context' holds what is no token.", param="context")
    if not request.prompt:
        return _memory(request)
    if request.raw or request.suffix:
        if request.images:
            raise errors.Unsupported("'images' does not go with a raw prompt or a suffix here.", param="images")
        if request.system:
            ignored.add(["system"])  # it is not in the template of a suffix
        if before:
            ignored.add(["context"])
        suffix = request.suffix if not request.raw else ""
        if request.suffix and request.raw:
            ignored.add(["suffix"])
        return Inference(kind="completion", prompt=request.prompt, suffix=suffix or None, **common)
    messages = [_message(OllamaMessage("system", request.system))] if request.system else []
    messages.append(_message(OllamaMessage("user", request.prompt, images=request.images)))
    return Inference(kind="chat", messages=messages, context=before, with_context=True, **common)


def only_memory(inference: Inference) -> bool:
    """Whether nothing is generated: the model is loaded, or unloaded."""
    return inference.kind == "chat" and not inference.messages


def _memory(request: _Common) -> Inference:
    return Inference(
        kind="chat", keep_alive=seconds(request.keep_alive), options=Options(num_ctx=options.context(request.options))
    )


def _common(request: _Common, ignored: Ignored) -> dict[str, Any]:
    if request.top_logprobs is not None and not 0 <= request.top_logprobs <= 20:
        raise errors.InvalidRequest("top_logprobs must be between 0 and 20", param="top_logprobs")
    if request.top_logprobs and not request.logprobs:
        ignored.add(["top_logprobs"])
    if isinstance(request.format, str) and request.format not in {"", "json"}:
        raise errors.InvalidRequest("'format' must be \"json\" or a JSON schema.", param="format")
    if isinstance(request.think, str) and request.think not in THINK_LEVELS:
        raise errors.InvalidRequest(
            f'invalid think value: {request.think[:50]!r} (must be "high", "medium", "low", "max", true, or false)',
            param="think",
        )
    return {
        # An empty schema is none, as is an empty text.
        "format": request.format or None,
        "think": request.think,
        "keep_alive": seconds(request.keep_alive),
        "logprobs": bool(request.logprobs),
        "top_logprobs": (request.top_logprobs or 0) if request.logprobs else 0,
        "options": options.sampling(request.options),
    }


def _tool(tool: dict[str, Any], index: int) -> dict[str, Any]:
    """As an OpenAI tool: the only type there is may be left out."""
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise errors.InvalidRequest("A tool has a 'function' with a 'name'.", param=f"tools[{index}].function")
    return tool if tool.get("type") else {**tool, "type": "function"}


def _message(message: OllamaMessage, index: int = 0) -> dict[str, Any]:
    """As an OpenAI chat message."""
    role = message.role.lower()
    if role not in ROLES:
        raise errors.InvalidRequest(
            f"A message's role is one of system, user, assistant and tool, not {role[:50]!r}.",
            param=f"messages[{index}].role",
        )
    made: dict[str, Any] = {"role": role, "content": message.content}
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
                "id": call.id or f"call_{number}",
                "type": "function",
                "function": {"name": call.function.name, "arguments": _arguments(call.function.arguments)},
            }
            for number, call in enumerate(message.tool_calls)
        ]
    if role == "tool":
        made["tool_call_id"] = message.tool_call_id or "call_0"
        if message.tool_name:
            made["name"] = message.tool_name
    return made


def _arguments(given: dict[str, Any] | str) -> str:
    """As JSON text, which OpenAI's clients give themselves."""
    if isinstance(given, dict):
        return msgspec.json.encode(given).decode()
    try:
        msgspec.json.decode(given, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        raise errors.InvalidRequest("The arguments of a tool call are not a JSON object.", param="messages") from None
    return given


_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"GIF8": "image/gif"}


def _data_url(image: str) -> str:
    """Of base64 text, or of a ``data:`` URL, which some send instead."""
    if image.startswith("data:"):
        image = image.partition(",")[2]
    try:
        start = base64.b64decode(image[:16], validate=True)
    except ValueError:  # text that is not ASCII, too
        raise errors.InvalidRequest("'images' must hold base64 text.", param="images") from None
    media_type = next((name for magic, name in _MEDIA_TYPES.items() if start.startswith(magic)), None)
    if media_type is None:
        raise errors.InvalidRequest("'images' must hold PNG, JPEG, WebP or GIF images.", param="images")
    return f"data:{media_type};base64,{image}"
