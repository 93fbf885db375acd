"""Programs as they ship: every field that Claude Code and Codex send, each alone and all together, is answered."""

from __future__ import annotations

import random
from typing import Any

import anthropic
import openai
import pytest

from ollamamax.contract import Final
from ollamamax.gateway.routes import ROUTES
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.gateway.scripts import embeds

HI: list[Any] = [{"role": "user", "content": "Say hi"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 18446744073709552000}}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
TURNS: list[Any] = [
    *HI,
    {
        "role": "assistant",
        "content": [
            {"type": "redacted_thinking", "data": "x"},
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "t", "name": "Read", "input": {"a": 1}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [
                    {"type": "text", "text": "read"},
                    PICTURE,
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "of it"}},
                ],
            },
            {"type": "text", "text": "Go on", "cache_control": {"type": "ephemeral"}},
        ],
    },
]


def _each(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """One field at a time."""
    return [{name: value} for name, value in fields.items()]


CLAUDE_CODE: dict[str, Any] = {
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "xhigh", "task_budget": {"type": "tokens", "total": 20000}},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": "u"},
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "tools": [
        {
            "name": "Read",
            "description": "r",
            "input_schema": SCHEMA,
            "eager_input_streaming": True,
            "defer_loading": True,
        },
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search"},
    ],
    "tool_choice": {"type": "auto"},
    "messages": TURNS,
    "extra_body": {"temperature": 1},
    "speed": "fast",
    "service_tier": "auto",
    "betas": ["claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
    "cache_control": {"type": "ephemeral"},
    "fallbacks": "default",
    "diagnostics": {"previous_message_id": "msg_x"},
}


async def test_what_claude_code_sends_is_answered(site: Site) -> None:
    node = await site.add_node(script=_anything)
    async with anthropic.AsyncAnthropic(base_url=site.url, auth_token=site.key, max_retries=0) as client:
        for fields in [*_each(CLAUDE_CODE), CLAUDE_CODE]:
            node.tickets.clear()
            asked = {"model": "echo", "max_tokens": 9, "messages": HI, **fields}
            answer = await client.beta.messages.create(**asked)
            assert answer.content, fields
            for gone in ("max_tokens", "metadata", "extra_body", "service_tier", "fallbacks", "diagnostics"):
                asked.pop(gone, None)
            assert (await client.beta.messages.count_tokens(**asked)).input_tokens == 42, fields
    inference = node.tickets[0].inference
    assert [message["role"] for message in inference.messages] == ["system", "user", "assistant", "tool", "user"]
    assert (inference.think, inference.think_if_able, len(inference.tools)) == ("high", True, 1)
    assert inference.messages[-1]["content"][0]["type"] == "image_url"


CODEX: dict[str, Any] = {
    "instructions": "Be brief.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hi"}]},
        {"type": "reasoning", "id": "rs", "summary": [], "content": None, "encrypted_content": "x"},
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "p"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
        {"type": "local_shell_call", "id": "l", "call_id": "d", "status": "completed", "action": {"type": "exec"}},
        {"type": "function_call_output", "call_id": "d", "output": [{"type": "input_text", "text": "done"}]},
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}},
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "s", "strict": False, "parameters": SCHEMA},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "web_search"},
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "store": False,
    "prompt_cache_key": "k",
    "service_tier": "priority",
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}},
    "metadata": {"a": "b"},
    "safety_identifier": "s",
    "user": "u",
    "max_output_tokens": 9,
    "extra_body": {"client_metadata": {"a": "b"}},
}


async def test_what_codex_sends_is_answered(site: Site) -> None:
    node = await site.add_node()
    async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0) as client:
        for fields in [*_each(CODEX), CODEX]:
            node.tickets.clear()
            raw = await client.responses.with_raw_response.create(**{"model": "echo", "input": "Say hi", **fields})
            assert raw.parse().status == "completed", fields
            stream = await client.responses.create(**{"model": "echo", "input": "Say hi", **fields}, stream=True)
            assert [event.type async for event in stream][-1] == "response.completed", fields
    ignored = set(raw.headers["x-ollamamax-ignored"].split(", "))
    assert {"tools.custom", "tools.web_search", "tools.local_shell", "client_metadata", "text.verbosity"} <= ignored
    assert {"reasoning.summary", "include.reasoning.encrypted_content", "input.web_search_call"} <= ignored
    roles = [message["role"] for message in node.tickets[0].inference.messages]
    assert roles == ["system", "developer", "user", "assistant", "tool", "assistant", "tool"]


OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat_template_kwargs": ({"enable_thinking": False}, {"think": False}),
    "repetition_penalty": (1.1, {"options.repeat_penalty": 1.1}),
    "n_predict": (7, {"options.max_tokens": 7}),
    "keep_alive": ("5m", {"keep_alive": 300.0}),
    "options": ({"num_ctx": 4096, "top_k": 3}, {"options.num_ctx": 4096, "options.top_k": 3}),
    "reasoning": ({"effort": "xhigh"}, {"think": "high"}),
    "reasoning_effort": ("none", {"think": False}),
    "guided_json": ({"type": "object"}, {"format": {"type": "object"}}),
    "logit_bias": ({"5": -1.5}, {"options.logit_bias": {"5": -1.5}}),
    "stop": (["", "x"], {"options.stop": ["x"]}),
    "min_tokens": (0, {"options.min_tokens": None}),
    "service_tier": ("flex", {}),
}


async def test_words_of_other_servers_reach_the_engine_in_its_own(site: Site) -> None:
    node = await site.add_node()
    for name, (value, expected) in OTHERS.items():
        async with site.post("/v1/chat/completions", {"model": "echo", "messages": HI, name: value}) as response:
            assert response.status == 200, name
            assert "x-ollamamax-ignored" not in response.headers, name
        for path, wanted in expected.items():
            place: Any = node.tickets[-1].inference
            for each in path.split("."):
                place = getattr(place, each)
            assert place == wanted, name


async def test_a_list_of_prompts_has_a_choice_each_in_their_order(site: Site) -> None:
    await site.add_node()
    async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0) as client:
        answer = await client.completions.create(model="echo", prompt=["a b", "c"], n=2, echo=True)
        assert [(each.index, each.text[:1]) for each in answer.choices] == [(0, "a"), (1, "a"), (2, "c"), (3, "c")]
        stream = await client.completions.create(model="echo", prompt=["a b", "c"], stream=True)
        assert {each.choices[0].index async for each in stream if each.choices} == {0, 1}


async def test_anthropics_programs_have_its_list_of_models(site: Site) -> None:
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key=site.key, max_retries=0) as client:
        page = await client.models.list(limit=1000)
        assert [(each.type, each.id, each.display_name) for each in page.data] == [
            ("model", "echo:latest", "echo:latest")
        ]
        assert (await client.models.retrieve("echo")).id == "echo"
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("nothing")


async def test_anthropics_tool_runner_goes_on_without_a_thread(site: Site) -> None:
    await site.add_node()
    body = {"model": "echo", "max_tokens": 9, "messages": HI, "thread": {"type": "create"}}
    async with site.post("/v1/messages", body) as response:
        assert response.status == 400
        details = (await response.json())["error"]["details"]
    assert details == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key=site.key, max_retries=0) as client:
        runner = client.beta.messages.tool_runner(model="echo", max_tokens=9, messages=HI, tools=[])
        assert (await runner.until_done()).content


BROKEN = [
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
    {"role": "user", "content": [{"type": "text"}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "aa", "format": "wav"}}]},
    {"role": "user", "content": [{}]},
    {"role": "tool", "content": "x"},
]


async def test_a_message_that_is_wrong_is_the_clients_fault_and_reaches_no_node(site: Site) -> None:
    node = await site.add_node()
    for message in BROKEN:
        async with site.post("/v1/chat/completions", {"model": "echo", "messages": [*HI, message]}) as response:
            assert response.status == 400, message
    assert node.tickets == []


WELL: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": TURNS[:1],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "n": 1,
        **{name: each for name, (each, _) in OTHERS.items()},
        "thinking": {"type": "enabled"},
    },
    "/v1/completions": {"prompt": ["a", "b"], "max_tokens": 3, "logit_bias": {"1": 1}},
    "/v1/embeddings": {"input": ["a"], "dimensions": 2},
    "/v1/rerank": {"query": "q", "documents": ["a", {"text": "b"}]},
    "/v1/responses": {k: v for k, v in CODEX.items() if k != "extra_body"},
    "/v1/responses/input_tokens": {"input": CODEX["input"]},
    "/v1/messages": {"max_tokens": 5, **{k: v for k, v in CLAUDE_CODE.items() if k not in {"betas", "extra_body"}}},
    "/v1/messages/count_tokens": {"messages": TURNS, "tools": CLAUDE_CODE["tools"]},
    "/api/chat": {"messages": HI, "options": {"seed": 1}, "stream": False},
    "/api/generate": {"prompt": "a", "options": {"num_predict": 2}, "stream": False},
    "/api/embed": {"input": ["a"]},
    "/api/embeddings": {"prompt": "a"},
    "/api/show": {"verbose": False},
}
ODD: list[Any] = [
    *(None, True, -1, 0, 1 << 31, 1 << 63, 1 << 70, 1.5, 1e308, "", "\0", "x", [], {}, [None], [[]], {"": None}),
    *([{}], {"type": None}, {"type": "text"}, [1 << 70], "\u2028", "x" * 5000),
]


def _mutated(value: Any, chance: random.Random) -> Any:
    """The same body, with one place of it changed."""
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        at = chance.choice(keys)
        if isinstance(value, dict):
            return {key: _mutated(each, chance) if key == at else each for key, each in value.items()}
        return [_mutated(each, chance) if key == at else each for key, each in enumerate(value)]
    return chance.choice(ODD)


async def test_no_body_is_a_fault_of_the_server(site: Site) -> None:
    await site.add_node(script=_anything)
    for path in sorted(WELL):
        chance = random.Random(path)
        for _ in range(50):
            body = _mutated({"model": "echo", **WELL[path]}, chance)
            async with site.post(path, body) as response:
                assert response.status < 500, (path, body, await response.text())
        for _ in range(20):
            async with site.http.post(
                site.url + path, data=chance.randbytes(40), headers={"Authorization": f"Bearer {site.key}"}
            ) as response:
                assert response.status == 400, path


def test_every_route_with_a_body_is_tried() -> None:
    assert set(WELL) == {path for path, route in ROUTES.items() if route.method == "POST"}


async def _anything(ticket: Any) -> Any:
    """An answer of whatever kind is asked for."""
    kind = ticket.inference.kind
    if kind == "rerank":
        yield Final(scores=[0.5] * len(ticket.inference.inputs))
    elif kind == "count":
        yield Final(counted=42)
    elif kind in {"embed", "show"}:
        async for event in embeds(ticket):
            yield event
    else:
        async for event in echo(ticket):
            yield event


async def test_a_websocket_is_told_to_come_over_http(site: Site) -> None:
    async with site.http.get(
        f"{site.url}/v1/responses",
        headers={
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ) as response:
        assert response.status == 426
        assert (await response.json())["error"]["code"] == "upgrade_required"
