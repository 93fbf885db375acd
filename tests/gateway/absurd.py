"""Bodies that are valid but for one place, which holds what nobody means: every place of every route's body, and every such value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"enum": ["x", 1]}},
    "required": ["a"],
}
_FUNCTION = {"name": "sum", "description": "adds", "parameters": SCHEMA, "strict": True}
_PICTURE = "data:image/png;base64,iVBORw0KGgo="
_CALL = {"id": "c", "type": "function", "function": {"name": "sum", "arguments": '{"a": 1}'}}
_SAMPLING: dict[str, Any] = {
    "max_tokens": 2,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["zz"],
    "seed": 1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"5": 1},
    "repetition_penalty": 1.1,
    "options": {"num_ctx": 512, "num_predict": 2},
    "keep_alive": "5m",
    "stream": False,
    "stream_options": {"include_usage": True},
}
_OLLAMA: dict[str, Any] = {
    "stream": False,
    "options": {"num_predict": 2, "temperature": 0.5, "stop": ["zz"], "seed": 1, "num_ctx": 512, "top_k": 3},
    "format": SCHEMA,
    "keep_alive": "5m",
    "think": False,
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "u", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "2"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": _PICTURE, "detail": "low"}}]},
        ],
        "tools": [{"type": "function", "function": _FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "sum"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 1,
        "n": 1,
        "chat_template_kwargs": {"enable_thinking": False},
        **_SAMPLING,
    },
    "/v1/completions": {"prompt": ["a", "b"], "suffix": "c", "echo": False, "logprobs": 1, **_SAMPLING},
    "/v1/embeddings": {"input": ["a", "b"], "dimensions": 2, "encoding_format": "float"},
    "/v1/rerank": {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True},
    "/v1/responses": {
        "input": [
            {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": _PICTURE}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c", "name": "sum", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "2"}]},
            {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": "p"},
            {"type": "local_shell_call", "call_id": "e", "action": {"type": "exec", "command": ["ls"]}},
        ],
        "instructions": "x",
        "tools": [{"type": "function", **_FUNCTION}, {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "sum"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "metadata": {"a": "b"},
        "max_output_tokens": 2,
        "temperature": 0.5,
        "top_p": 0.9,
        "store": False,
    },
    "/v1/responses/input_tokens": {"input": [{"role": "user", "content": "hi"}], "tools": []},
    "/v1/messages": {
        "max_tokens": 2,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {
                        "type": "document",
                        "title": "t",
                        "source": {"type": "content", "content": [{"type": "text", "text": "d"}]},
                    },
                    {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "f"}]},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "t", "name": "sum", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "is_error": False,
                        "content": [{"type": "text", "text": "2"}],
                    }
                ],
            },
        ],
        "tools": [
            {"name": "sum", "description": "adds", "input_schema": SCHEMA},
            {"type": "bash_20250124", "name": "b"},
        ],
        "tool_choice": {"type": "tool", "name": "sum", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "context_management": {"edits": [{"type": "x"}]},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["zz"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stream": False,
    },
    "/v1/messages/count_tokens": {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "sum", "input_schema": SCHEMA}],
    },
    "/api/chat": {
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "user", "content": "hi", "images": ["iVBORw0KGgo="]},
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [{"function": {"name": "sum", "arguments": {"a": 1}}}],
            },
            {"role": "tool", "tool_name": "sum", "content": "2"},
        ],
        "tools": [{"type": "function", "function": _FUNCTION}],
        "logprobs": True,
        "top_logprobs": 1,
        **_OLLAMA,
    },
    "/api/generate": {
        "prompt": "a",
        "system": "s",
        "images": ["iVBORw0KGgo="],
        "raw": False,
        "context": [1, 2],
        **_OLLAMA,
    },
    "/api/embed": {"input": ["a", "b"], "truncate": True, "dimensions": 2, "options": {"num_ctx": 512}},
    "/api/embeddings": {"prompt": "a", "options": {"num_ctx": 512}, "keep_alive": 300},
    "/api/show": {"verbose": False, "options": {}},
}


class Absent:
    """In place of a value: the whole field is not there."""


def _deep(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = [found]
    return found


VALUES: list[Any] = [
    *(Absent, None, True, False, 0, -1, 1.5, -0.0, 1e308, (1 << 31) - 1, 1 << 31, 1 << 63, 1 << 64, 1 << 70),
    *("", " ", "x", "\0", "\ud800", "\u2028", "x" * 5000, "null", "1", "[]"),
    *([], [None], [[]], [{}], [""], [1], [1 << 70], _deep(60), _deep(100)),
    *({}, {"": None}, {"type": None}, {"type": "text"}, {"type": "x"}, {"$ref": "#"}, {"x": 1 << 64}),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a body, from the top."""
    if at:
        yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*at, index))


def with_value(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    """The same body with another value at one place."""
    if not at:
        return value
    first, rest = at[0], at[1:]
    inner = with_value(body[first], rest, value)
    if isinstance(body, dict):
        return {name: each for name, each in {**body, first: inner}.items() if each is not Absent}
    return [
        inner if index == first else each for index, each in enumerate(body) if index != first or inner is not Absent
    ]


def bodies(path: str) -> Iterator[tuple[str, Any]]:
    """Each place with the value it has, as text, and the whole body."""
    whole = {"model": "echo", **BODIES[path]}
    for at in places(whole):
        for value in VALUES:
            yield f"{at} {str(value)[:80]}", with_value(whole, at, value)
