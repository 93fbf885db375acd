"""Claude Code and Codex: everything that the types of their vendors' libraries can say is answered, or refused by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
import pytest
from anthropic.types import AnthropicBetaParam
from anthropic.types.beta import BetaContentBlockParam, BetaToolUnionParam
from anthropic.types.beta import message_count_tokens_params as count_params
from anthropic.types.beta import message_create_params as message_params
from openai.types.responses import ResponseInputItemParam, ToolParam
from openai.types.responses import response_create_params as response_params

from ollamamax.contract.fields import Fields
from ollamamax.contract.ignored import Ignored
from ollamamax.contract.inference import Inference
from ollamamax.gateway.anthropic import requests as messages
from ollamamax.gateway.openai import response_request as responses
from ollamamax.kernel import errors
from tests.gateway import typed
from tests.gateway.conftest import Site

HI: list[Any] = [{"role": "user", "content": "Say hi"}]
_READ = {"name": "x", "input_schema": {"type": "object"}}
_SHELL = {"type": "function", "name": "x", "parameters": {"type": "object"}}
MESSAGE: dict[str, Any] = {"model": "echo", "max_tokens": 9, "messages": HI, "tools": [_READ]}
COUNT: dict[str, Any] = {"model": "echo", "messages": HI, "tools": [_READ]}
RESPONSE: dict[str, Any] = {"model": "echo", "input": HI, "tools": [_SHELL]}

OF_ANTHROPIC = (
    "with an image from a source of type 'file'|with a document of type '(application/pdf|url|file)'"
    "|with a block of type 'container_upload'|'compaction' is not supported|that only Anthropic can read"
    "|'(container|mcp_servers|inference_geo|thread)' is not supported"
)
"""What cannot be had here: files that are kept elsewhere or hold no text, programs and tools that the server runs, its vendor's own secrets."""
_ROLES = "'(thinking|tool_use)' in a message of 'user'|'(image|tool_result)' in a message of 'assistant'"
"""The library's types let each role say what its vendor's server, too, lets one of them say."""
OF_OPENAI = (
    "'include' is not supported by this server with message.output_text.logprobs|content of type 'input_(image|file)'"
    "|with an item of type '(compaction|item_reference)'|'(moderation|prompt|truncation|top_logprobs)' is not supported"
    "|'tool_choice' asks for a tool of type|all of 'tools' were left out"
    "|needs a 'call_id'"
)
"""A picture is refused where it is a file that was sent before, and a result where nobody says whose."""
ROUTES: list[tuple[Any, dict[str, Any], Fields[Any], Callable[[Any, Ignored], Inference], str]] = [
    (
        message_params.MessageCreateParamsNonStreaming,
        MESSAGE,
        messages.FIELDS,
        messages.to_inference,
        f"{OF_ANTHROPIC}|{_ROLES}",
    ),
    (
        count_params.MessageCountTokensParams,
        COUNT,
        messages.COUNT_FIELDS,
        messages.count_inference,
        f"{OF_ANTHROPIC}|{_ROLES}",
    ),
    (
        response_params.ResponseCreateParamsNonStreaming,
        RESPONSE,
        responses.FIELDS,
        responses.to_inference,
        OF_OPENAI,
    ),
]


def _said(parameters: Any, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A body for each thing that one field may say."""
    for name, hint in typed.fields(parameters).items():
        for value in typed.values(hint):
            yield base | {name: [*HI, *value] if name == "input" and isinstance(value, list) else value}


@pytest.mark.parametrize("route", ROUTES, ids=["messages", "count_tokens", "responses"])
def test_whatever_a_library_can_say_is_understood_or_refused_by_its_name(route: Any) -> None:
    parameters, base, fields, to_inference, refused = route
    understood = 0
    seen: set[str] = set()
    for body in _said(parameters, base):
        refusal: errors.InvalidRequest | None = None
        try:
            to_inference(fields.parse(msgspec.json.encode(body), Ignored()), Ignored())
        except errors.InvalidRequest as error:
            refusal = error
        if refusal is None:
            understood += 1
            continue
        found = re.search(refused, refusal.message)
        assert found is not None, (refusal.message, body)
        assert refusal.fields["param"], body
        seen.add(found[0])
    assert understood > 1000
    assert len(seen) > 5


BETAS = list(get_args(get_args(AnthropicBetaParam)[1]))
CLAUDE_CODE = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": ",".join(["claude-code-20250219", "effort-2025-11-24", "nobody-knows-2099-01-01", *BETAS]),
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.200 (external, cli)",
    "x-app": "cli",
    "x-client-request-id": "c",
    "x-claude-code-session-id": "s",
    "x-claude-code-agent-id": "a",
    "x-claude-code-parent-agent-id": "p",
    "x-stainless-helper-method": "stream",
    "x-stainless-retry-count": "0",
}
CODEX = {
    "accept": "text/event-stream",
    "originator": "codex_cli_rs",
    "user-agent": "codex_cli_rs/0.152.0 (Linux; x86_64) xterm",
    "version": "0.152.0",
    "openai-beta": "responses=experimental",
    "openai-organization": "o",
    "openai-project": "p",
    "session_id": "s",
    **dict.fromkeys(("session-id", "thread-id", "conversation_id", "x-client-request-id", "x-openai-subagent"), "x"),
    **{f"x-codex-{name}": "x" for name in ("turn-state", "turn-metadata", "window-id", "installation-id")},
    **{f"x-codex-{name}": "x" for name in ("parent-thread-id", "beta-features")},
    "x-responsesapi-include-timing-metrics": "true",
}


def _kinds(union: Any) -> dict[str, dict[str, Any]]:
    """The least value of each kind of a union, by its ``type``."""
    found: dict[str, dict[str, Any]] = {}
    for value in (each for hint in get_args(union) for each in typed.values(hint)):
        found.setdefault(value.get("type") or "custom", value)
    return found


async def _ask(site: Site, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, str, set[str]]:
    async with site.post(path, body, headers=headers) as response:
        ignored = response.headers.get("x-ollamamax-ignored", "")
        return response.status, await response.text(), set(ignored.split(", ")) - {""}


@pytest.mark.parametrize(("path", "route"), [("/v1/messages", ROUTES[0]), ("/v1/responses", ROUTES[2])])
async def test_each_field_alone_is_answered_or_refused_by_its_name(site: Site, path: str, route: Any) -> None:
    await site.add_node()
    parameters, base, _, _, refused = route
    answered = 0
    for name, hint in typed.fields(parameters).items():
        if name in ELSEWHERE:
            continue
        body = base | {name: next(typed.values(hint))}
        status, text, _ = await _ask(site, path, CLAUDE_CODE if path == "/v1/messages" else CODEX, body)
        assert status == (400 if re.search(refused, text) else 200), (name, text)
        answered += status == 200
    assert answered > 20


async def test_each_tool_that_anthropic_names_is_left_out_by_name_and_all_betas_are_borne(site: Site) -> None:
    node = await site.add_node()
    kinds = {kind: tool for kind, tool in _kinds(BetaToolUnionParam).items() if kind != "custom"}
    for kind, tool in kinds.items():
        body = MESSAGE | {"tools": [_READ, tool]}
        status, text, ignored = await _ask(site, "/v1/messages?beta=true", CLAUDE_CODE, body)
        assert (status, ignored) == (200, {f"tools.{kind}"}), (kind, text)
        assert [each["function"]["name"] for each in node.tickets[-1].inference.tools] == ["x"]
    assert len(kinds) > 20


async def test_each_tool_that_openai_names_is_left_out_by_name(site: Site) -> None:
    node = await site.add_node()
    # Functions in a namespace are offered: see test_responses.
    kinds = {kind: tool for kind, tool in _kinds(ToolParam).items() if kind not in {"function", "namespace"}}
    # Codex's own shapes.
    kinds["tool_search"] = {"type": "tool_search", "execution": "client", "description": "d", "parameters": {}}
    kinds["web_search"] = {"type": "web_search", "external_web_access": True, "search_content_types": ["text"]}
    for kind, tool in kinds.items():
        status, text, ignored = await _ask(site, "/v1/responses", CODEX, RESPONSE | {"tools": [_SHELL, tool]})
        assert (status, ignored) == (200, {f"tools.{kind}"}), (kind, text)
        assert [each["function"]["name"] for each in node.tickets[-1].inference.tools] == ["x"]
    assert len(kinds) > 12


ELSEWHERE = {"model", "background", "store", "previous_response_id", "conversation"}
"""The library names its vendor's models; the others need the web process, which keeps responses: its own tests have them."""
NOT_HERE = {"container_upload", "compaction", "item_reference"}


async def test_all_that_claude_code_can_say_together_is_answered(site: Site) -> None:
    node = await site.add_node()
    blocks = {kind: block for kind, block in _kinds(BetaContentBlockParam).items() if kind not in NOT_HERE}
    blocks["document"] = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}
    blocks["image"] = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    blocks["tool_removal"] = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "gone"}}
    marked = [block | {"cache_control": {"type": "ephemeral", "ttl": "1h"}} for block in blocks.values()]
    of_assistant = {"thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"}
    conversation = [
        *HI,
        {"role": "assistant", "content": [block for block in marked if block["type"] in of_assistant]},
        {"role": "user", "content": [block for block in marked if block["type"] not in of_assistant]},
        {"role": "system", "clear_at": "never", "output_config": {"effort": "low"}, "content": "Be brief."},
    ]
    refused = {"container", "mcp_servers", "inference_geo", "thread", "compaction"}
    body: dict[str, Any] = {
        name: next(typed.values(hint))
        for name, hint in typed.fields(message_params.MessageCreateParamsNonStreaming).items()
        if name not in refused
    }
    gone = {"name": "gone", "input_schema": {}, "defer_loading": True}
    body |= MESSAGE | {"messages": conversation, "tools": [_READ, gone, *_kinds(BetaToolUnionParam).values()]}
    for stream in (False, True):
        status, text, ignored = await _ask(site, "/v1/messages?beta=true", CLAUDE_CODE, body | {"stream": stream})
        assert status == 200, text
        assert ("message_stop" in text) is stream
    assert {"context_management", "messages.redacted_thinking", "tools.bash_20250124"} <= ignored
    inference = node.tickets[-1].inference
    assert {each["function"]["name"] for each in inference.tools} == {"x"}
    assert [each["role"] for each in inference.messages] == ["system", "user", "assistant", "tool", "user", "system"]


async def test_all_that_codex_can_say_together_is_answered(site: Site) -> None:
    await site.add_node()
    items = [item for kind, item in _kinds(ResponseInputItemParam).items() if kind not in NOT_HERE]
    items = [item | {"call_id": "x"} if item.get("type") == "function_call_output" else item for item in items]
    more = {"phase": "final_answer", "internal_chat_message_metadata_passthrough": {"turn_id": "t"}}
    body: dict[str, Any] = {
        "model": "echo",
        "input": [*CODEX_ITEMS, *items, HI[0] | more],
        "tools": list(_kinds(ToolParam).values()),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "xhigh", "summary": "detailed", "context": "all_turns"},
        "store": False,
        "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
        "service_tier": "default",
        "prompt_cache_key": "k",
        "text": {"verbosity": "high", "format": {"type": "json_schema", "strict": True, "schema": {}, "name": "n"}},
        "client_metadata": {"x-codex-installation-id": "i"},
        "stream_options": {"reasoning_summary_delivery": "sequential"},
    }
    for stream in (False, True):
        status, text, ignored = await _ask(site, "/v1/responses", CODEX, body | {"stream": stream})
        assert status == 200, text
        assert ("response.completed" in text) is stream
    assert {"text.verbosity", "client_metadata", "input.encrypted_content", "input.web_search_call"} <= ignored


CODEX_ITEMS: list[dict[str, Any]] = [
    {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "exec"}]},
    {
        "type": "agent_message",
        "author": "planner",
        "recipient": "coder",
        "content": [{"type": "input_text", "text": "go"}, {"type": "encrypted_content", "encrypted_content": "x"}],
    },
    {"type": "reasoning", "summary": [], "encrypted_content": None},
    {"type": "local_shell_call", "id": "l", "call_id": None, "status": "completed", "action": {"type": "exec"}},
    {"type": "function_call_output", "call_id": "l", "output": "done"},
    {"type": "function_call_output", "name": "watch", "output": [{"type": "input_text", "text": "changed"}]},
    {"type": "custom_tool_call_output", "call_id": "l", "name": "exec", "output": "text"},
    {"type": "tool_search_call", "call_id": None, "execution": "client", "arguments": {}},
    {"type": "tool_search_output", "call_id": None, "status": "completed", "execution": "client", "tools": []},
    {"type": "web_search_call", "action": {"type": "other"}},
    {"type": "configuration_update", "reasoning": {"effort": "low"}},
    {"type": "context_compaction"},
]


async def test_each_item_of_codex_is_answered_alone(site: Site) -> None:
    node = await site.add_node()
    for item in CODEX_ITEMS:
        status, text, _ = await _ask(site, "/v1/responses", CODEX, RESPONSE | {"input": [item, *HI]})
        assert status == 200, (item, text)
    said = [ticket.inference.messages[0] for ticket in node.tickets]
    assert {"role": "user", "content": "planner: go"} in said
    assert {"role": "user", "content": "watch: changed"} in said
    assert said[3]["tool_calls"][0]["id"] == "l"


def _understood(conversation: list[Any], tools: list[Any]) -> Inference:
    body = MESSAGE | {"messages": conversation, "tools": tools}
    return messages.to_inference(messages.FIELDS.parse(msgspec.json.encode(body), Ignored()), Ignored())


def _change(kind: str, tool: dict[str, Any]) -> dict[str, Any]:
    return {"role": "system", "content": [{"type": f"tool_{kind}", "tool": tool}]}


def test_tools_that_a_conversation_adds_and_takes_away_are_offered_as_at_its_end() -> None:
    x, y = {"type": "tool_reference", "name": "x"}, {"type": "tool_definition", "definition": _READ | {"name": "y"}}
    away, back, new = _change("removal", x), _change("addition", x), _change("addition", y)
    cases: list[tuple[list[Any], list[str]]] = [
        ([away], []),
        ([away, back], ["x"]),
        ([new], ["x", "y"]),
        ([new, away, back, away], ["y"]),
        ([new, new, _change("removal", x | {"name": "y"})], ["x"]),
        ([{"role": "user", "content": [{"type": "mid_conv_system", "content": away["content"]}]}], []),
    ]
    for changes, expected in cases:
        inference = _understood([*HI, *changes, *HI], [_READ])
        assert [each["function"]["name"] for each in inference.tools] == expected, changes
    with pytest.raises(errors.InvalidRequest, match="tool_addition"):
        _understood([*HI, _change("addition", {"type": "?"})], [_READ])


def test_a_message_of_the_system_is_shown_as_long_as_it_says() -> None:
    brief = {"role": "system", "content": "Be brief.", "clear_at": "next_user_message"}
    roles = [each["role"] for each in _understood([*HI, brief], []).messages]
    assert roles == ["user", "system"]
    roles = [each["role"] for each in _understood([*HI, brief, *HI], []).messages]
    assert roles == ["user", "user"]
    with pytest.raises(errors.InvalidRequest, match="needs a 'content'"):
        _understood([{"role": "user"}], [])


@pytest.mark.parametrize("thinking", [{"type": "enabled", "budget_tokens": 31999}, {"type": "adaptive"}])
def test_claude_codes_thinking_is_a_wish_that_a_model_may_be_unable_to_fulfil(thinking: dict[str, Any]) -> None:
    body = MESSAGE | {"thinking": thinking, "output_config": {"effort": "medium"}}
    inference = messages.to_inference(messages.FIELDS.parse(msgspec.json.encode(body), Ignored()), Ignored())
    assert (inference.think, inference.think_if_able) == ("medium", True)
