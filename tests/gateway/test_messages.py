"""POST /v1/messages and /v1/messages/count_tokens, with the official client and by hand."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from tests.gateway.conftest import Site
from tests.gateway.scripts import breaks_late, calls_badly, counts, counts_not, thinks_aloud
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "max_tokens": 64, "messages": [{"role": "user", "content": "one two three"}]}
TOOL: Any = {"name": "sum", "description": "adds", "input_schema": {"type": "object"}}


def _client(site: Site, key: str | None = None) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=site.url, api_key=key or site.key, max_retries=0)


async def test_the_official_client_gets_a_whole_message_by_its_own_key_header(site: Site) -> None:
    await site.add_node()
    message = await _client(site).messages.create(**ASK)
    assert [block.text for block in message.content if block.type == "text"] == ["one two three"]
    assert (message.role, message.stop_reason, message.model) == ("assistant", "end_turn", "echo")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 3)
    await until(lambda: len(site.usage()) == 1)
    record = site.usage()[0]
    assert (record["api"], record["prompt_tokens"], record["completion_tokens"]) == ("/v1/messages", 7, 3)
    assert message._request_id == record["request"]


async def test_a_bearer_key_is_as_good(site: Site) -> None:
    await site.add_node()
    client = anthropic.AsyncAnthropic(base_url=site.url, auth_token=site.key, max_retries=0)
    assert (await client.messages.create(**ASK)).usage.output_tokens == 3


async def test_the_official_client_streams_every_kind_of_block(site: Site) -> None:
    await site.add_node(script=thinks_aloud)
    async with _client(site).messages.stream(**ASK, tools=[TOOL]) as stream:
        events = [event.type async for event in stream]
        message = await stream.get_final_message()
    assert events[0] == "message_start"
    assert events[-1] == "message_stop"
    assert [event for event in events if event == "content_block_start"] == ["content_block_start"] * 3
    assert events.count("content_block_stop") == 3
    whole = await _client(site).messages.create(**ASK, tools=[TOOL])
    both: list[Any] = [message, whole]
    for found in both:
        thinking, text, tool = found.content
        assert thinking.type == "thinking"
        assert thinking.thinking == "hm"
        assert text.type == "text"
        assert text.text == "I add"
        assert tool.type == "tool_use"
        assert (tool.id, tool.name, tool.input) == ("c1", "sum", {"a": 1})
        assert found.stop_reason == "tool_use"
        assert (found.usage.input_tokens, found.usage.cache_read_input_tokens) == (10, 20)
        assert found.usage.output_tokens == 9


async def test_events_have_their_names_on_the_wire(site: Site) -> None:
    await site.add_node()
    async with site.post("/v1/messages", {**ASK, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["request-id"] == response.headers["x-request-id"]
        text = await response.text()
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in text.strip().split("\n\n")]
    assert [event["event"] for event in events] == [json.loads(event["data"])["type"] for event in events]
    deltas = [json.loads(event["data"]) for event in events if event["event"] == "content_block_delta"]
    assert "".join(delta["delta"]["text"] for delta in deltas) == "one two three"
    assert {delta["index"] for delta in deltas} == {0}


async def test_a_conversation_reaches_the_engine_whole(site: Site) -> None:
    node = await site.add_node()
    image = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "3"}]}
    failed = {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True}
    body = {
        **ASK,
        "system": [{"type": "text", "text": "be"}, {"type": "text", "text": "brief", "cache_control": {}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image", "source": image}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "so"},
                    {"type": "tool_use", "id": "t1", "name": "sum", "input": {"a": 1}},
                ],
            },
            {"role": "user", "content": [result, failed, {"type": "text", "text": "go on"}]},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "tool", "name": "sum", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "top_k": 7,
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "metadata": {"user_id": "u"},
    }
    async with site.post("/v1/messages", body) as response:
        assert response.status == 200
    inference = node.tickets[0].inference
    assert [message["role"] for message in inference.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    system, look, answer, three, error, last = inference.messages
    assert system["content"] == "be\nbrief"
    assert look["content"][1]["image_url"]["url"] == "data:image/png;base64,QUJD"
    assert (answer["content"], answer["reasoning_content"]) == ("so", "hm")
    assert answer["tool_calls"][0]["function"] == {"name": "sum", "arguments": '{"a":1}'}
    assert (three["tool_call_id"], three["content"]) == ("t1", "3")
    assert error["content"] == "Error: no"
    assert last["content"] == "go on"
    assert inference.tools[0]["function"] == {"name": "sum", "description": "adds", "parameters": {"type": "object"}}
    assert inference.tool_choice == {"type": "function", "function": {"name": "sum"}}
    assert (inference.parallel_tool_calls, inference.think, inference.format) == (False, True, {"type": "object"})
    assert (inference.options.stop, inference.options.temperature, inference.options.top_k) == (["END"], 0.5, 7)
    assert inference.options.max_tokens == 64


BAD: list[tuple[Any, int, str]] = [
    ({**ASK, "max_tokens": -1}, 400, "max_tokens"),
    ({"model": "echo", "messages": ASK["messages"]}, 400, "max_tokens"),
    ({**ASK, "messages": []}, 400, "messages"),
    ({**ASK, "messages": [{"role": "king", "content": ""}]}, 400, "role"),
    ({**ASK, "messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, 400, "document"),
    ({**ASK, "messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "text"),
    ({**ASK, "messages": [{"role": "assistant", "content": [{"type": "image", "source": {}}]}]}, 400, "image"),
    (
        {**ASK, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
        400,
        "image",
    ),
    ({**ASK, "tools": [{"name": "sum"}]}, 400, "input_schema"),
    ({**ASK, "tool_choice": {"type": "tool"}}, 400, "name"),
    ({**ASK, "temperature": 1.5}, 400, "temperature"),
    ({**ASK, "mcp_servers": [{}]}, 400, "mcp_servers"),
    ({**ASK, "container": "c"}, 400, "container"),
    ({**ASK, "output_config": {"effort": "utmost"}}, 400, "effort"),
    ({**ASK, "output_config": {"format": {"type": "poem"}}}, 400, "output_config"),
    ({**ASK, "max_tokens": 1 << 31}, 400, "max_tokens"),
    ({**ASK, "model": "nothing"}, 404, "nothing"),
    ({**ASK, "system": "x" * 200_000}, 413, "larger"),
]


@pytest.mark.parametrize(("body", "status", "word"), BAD)
async def test_bad_input_is_refused_in_anthropics_form(site: Site, body: Any, status: int, word: str) -> None:
    await site.add_node()
    async with site.post("/v1/messages", body) as response:
        assert response.status == status
        answer = await response.json()
        assert response.headers["request-id"]
    assert answer["type"] == "error"
    assert set(answer["error"]) == {"type", "message"}
    expected = {404: "not_found_error", 413: "request_too_large"}.get(status, "invalid_request_error")
    assert answer["error"]["type"] == expected
    assert word in answer["error"]["message"]
    assert site.usage() == []


async def test_wrong_keys_and_strangers_are_refused(site: Site, stranger: str) -> None:
    node = await site.add_node()
    with pytest.raises(anthropic.AuthenticationError):
        await _client(site, "sk-ant-123").messages.create(**ASK)
    with pytest.raises(anthropic.NotFoundError):
        await _client(site, stranger).messages.create(**ASK)
    with pytest.raises(anthropic.NotFoundError):
        await _client(site, stranger).messages.count_tokens(model="echo", messages=ASK["messages"])
    # The other protocols do not look at that header.
    async with site.http.get(f"{site.url}/api/tags", headers={"x-api-key": site.key}) as response:
        assert response.status == 401
    assert node.tickets == []


async def test_no_node_and_a_late_failure_have_anthropics_form(site: Site) -> None:
    with pytest.raises(anthropic.APIStatusError) as error:
        await _client(site).messages.create(**ASK)
    assert error.value.status_code == 503
    assert error.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]
    await site.add_node(script=breaks_late)
    stream = await _client(site).messages.create(**ASK, stream=True)
    with pytest.raises(anthropic.APIError, match="The engine broke"):
        [event async for event in stream]
    await until(lambda: len(site.usage()) == 2)
    assert [record["outcome"] for record in site.usage()] == ["refused", "failed"]


async def test_arguments_that_are_no_json_are_the_models_failure(site: Site) -> None:
    await site.add_node(script=calls_badly)
    async with site.post("/v1/messages", ASK) as response:
        assert response.status == 502
        assert (await response.json())["error"]["type"] == "api_error"


async def test_tokens_are_counted_before_anything_is_sent(site: Site) -> None:
    node = await site.add_node(script=counts)
    found = await _client(site).messages.count_tokens(model="echo", messages=ASK["messages"], system="s", tools=[TOOL])
    assert found.input_tokens == 42
    inference = node.tickets[0].inference
    assert (inference.kind, len(inference.messages), len(inference.tools)) == ("count", 2, 1)
    await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["prompt_tokens"], site.usage()[0]["completion_tokens"]) == (0, 0)


async def test_an_engine_that_cannot_count_is_named(site: Site) -> None:
    await site.add_node(script=counts_not)
    with pytest.raises(anthropic.BadRequestError, match="ollama engine cannot do count_tokens"):
        await _client(site).messages.count_tokens(model="echo", messages=ASK["messages"])


async def test_a_message_without_tokens_has_its_prompt_read_and_says_nothing(site: Site) -> None:
    """As Anthropic's clients warm its prompt cache."""
    node = await site.add_node(script=thinks_aloud)
    asked: dict[str, Any] = {**ASK, "max_tokens": 0, "tools": [TOOL], "tool_choice": {"type": "any"}}
    whole = await _client(site).messages.create(**asked)
    async with _client(site).messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    for found in (whole, streamed):
        assert (found.content, found.stop_reason, found.usage.output_tokens) == ([], "max_tokens", 0)
        assert (found.usage.input_tokens, found.usage.cache_read_input_tokens) == (10, 20)
    inference = node.tickets[0].inference
    assert (inference.options.max_tokens, inference.tool_choice, len(inference.tools)) == (1, None, 1)
