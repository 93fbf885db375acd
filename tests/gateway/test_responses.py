"""POST /v1/responses, with the official client and by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from ollamamax.contract import Delta, Event, Final, Ticket
from tests.gateway.conftest import Site
from tests.gateway.scripts import breaks_late, is_sure, thinks_aloud
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "input": "one two three"}
TOOL: Any = {"type": "function", "name": "sum", "parameters": {"type": "object"}, "strict": False}


def _client(site: Site, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key or site.key, max_retries=0)


async def test_the_official_client_gets_a_whole_answer_and_a_record_is_written(site: Site) -> None:
    node = await site.add_node()
    answer = await _client(site).responses.create(**ASK, instructions="be brief", metadata={"a": "b"})
    assert answer.output_text == "one two three"
    assert (answer.status, answer.metadata, answer.instructions) == ("completed", {"a": "b"}, "be brief")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (7, 3, 10)
    assert [message["role"] for message in node.tickets[0].inference.messages] == ["system", "user"]
    await until(lambda: len(site.usage()) == 1)
    record = site.usage()[0]
    assert (record["api"], record["prompt_tokens"], record["completion_tokens"]) == ("/v1/responses", 7, 3)
    assert answer.id == f"resp_{record['request']}"


async def test_the_official_client_streams_every_kind_of_item(site: Site) -> None:
    await site.add_node(script=thinks_aloud)
    async with _client(site).responses.stream(**ASK, tools=[TOOL]) as stream:
        events = [event async for event in stream]
        answer = await stream.get_final_response()
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "I add"
    assert "".join(event.delta for event in events if event.type == "response.reasoning_text.delta") == "hm"
    whole = await _client(site).responses.create(**ASK, tools=[TOOL])
    both: list[Any] = [answer, whole]
    for found in both:
        thought, said, called = found.output
        assert thought.type == "reasoning"
        assert thought.content[0].text == "hm"
        assert said.type == "message"
        assert called.type == "function_call"
        assert (called.call_id, called.name, called.arguments) == ("c1", "sum", '{"a": 1}')
        assert found.output_text == "I add"


async def test_events_are_numbered_without_a_gap(site: Site) -> None:
    await site.add_node(script=thinks_aloud)
    async with site.post("/v1/responses", {**ASK, "stream": True}) as response:
        text = await response.text()
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in text.strip().split("\n\n")]
    data = [json.loads(event["data"]) for event in events]
    assert [event["event"] for event in events] == [each["type"] for each in data]
    assert [each["sequence_number"] for each in data] == list(range(len(data)))
    opened = [each["item"]["id"] for each in data if each["type"] == "response.output_item.added"]
    closed = [each["item"]["id"] for each in data if each["type"] == "response.output_item.done"]
    assert opened == closed
    assert opened == [item["id"] for item in data[-1]["response"]["output"]]


async def test_an_answer_that_was_cut_says_so(site: Site) -> None:
    await site.add_node(script=is_sure)
    answer = await _client(site).responses.create(**ASK, max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    stream = await _client(site).responses.create(**ASK, max_output_tokens=2, stream=True)
    assert [event.type async for event in stream][-1] == "response.incomplete"


async def test_a_conversation_reaches_the_engine_whole(site: Site) -> None:
    node = await site.add_node()
    body = {
        "model": "echo",
        "input": [
            {"role": "developer", "content": "be brief"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "look"},
                    {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto"},
                ],
            },
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
            {"type": "function_call", "call_id": "c1", "name": "sum", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "3"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "sum"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "store": False,
    }
    async with site.post("/v1/responses", body) as response:
        assert response.status == 200, await response.text()
    inference = node.tickets[0].inference
    assert [message["role"] for message in inference.messages] == ["developer", "user", "assistant", "tool", "user"]
    assert inference.messages[1]["content"][1]["image_url"]["url"] == "data:image/png;base64,QUJD"
    turn = inference.messages[2]
    assert (turn["content"], turn["reasoning_content"]) == ("so", "hm")
    assert turn["tool_calls"][0]["function"] == {"name": "sum", "arguments": "{}"}
    assert inference.messages[3] == {"role": "tool", "tool_call_id": "c1", "content": "3"}
    assert inference.tools[0]["function"]["name"] == "sum"
    assert inference.tool_choice == {"type": "function", "function": {"name": "sum"}}
    assert (inference.think, inference.format, inference.parallel_tool_calls) == ("low", {"type": "object"}, False)


BAD: list[tuple[Any, int, str | None]] = [
    ({"model": "echo"}, 400, "input"),
    ({**ASK, "input": ""}, 400, "input"),
    ({**ASK, "input": []}, 400, "input"),
    ({**ASK, "input": [{"role": "king", "content": "x"}]}, 400, "input"),
    ({**ASK, "input": [{"type": "item_reference", "id": "x"}]}, 404, "input"),
    ({**ASK, "input": [{"type": "function_call"}]}, 400, "input"),
    ({**ASK, "input": [{"role": "user", "content": [{"type": "input_text"}]}]}, 400, "input"),
    ({**ASK, "input": [{"role": "user", "content": [{"type": "input_file"}]}]}, 400, "input"),
    ({**ASK, "input": [{"role": "user", "content": 3}]}, 400, "input"),
    ({**ASK, "previous_response_id": "resp_1"}, 404, "previous_response_id"),
    ({**ASK, "conversation": "conv_1"}, 400, "conversation"),
    ({**ASK, "background": True}, 400, "background"),
    ({**ASK, "background": True}, 400, "background"),
    ({**ASK, "conversation": "c"}, 400, "conversation"),
    ({**ASK, "truncation": "auto"}, 400, "truncation"),
    ({**ASK, "include": ["message.output_text.logprobs"]}, 400, "include"),
    ({**ASK, "tools": [{"type": "web_search"}], "tool_choice": "required"}, 400, "tool_choice"),
    ({**ASK, "tools": [{"type": "function"}]}, 400, "tools"),
    ({**ASK, "tool_choice": {"type": "file_search"}}, 400, "tool_choice"),
    ({**ASK, "text": {"format": {"type": "poem"}}}, 400, "text"),
    ({**ASK, "reasoning": {"effort": "utmost"}}, 400, "reasoning.effort"),
    ({**ASK, "max_output_tokens": 1 << 31}, 400, "max_output_tokens"),
    ({**ASK, "max_output_tokens": 0}, 400, "max_output_tokens"),
    ({**ASK, "model": "nothing"}, 404, "model"),
]


@pytest.mark.parametrize(("body", "status", "param"), BAD)
async def test_bad_input_is_refused_by_name(site: Site, body: Any, status: int, param: str | None) -> None:
    await site.add_node()
    async with site.post("/v1/responses", body) as response:
        assert response.status == status
        assert (await response.json())["error"]["param"] == param
    assert site.usage() == []


async def test_a_late_failure_is_an_event_of_its_own(site: Site) -> None:
    await site.add_node(script=breaks_late)
    stream = await _client(site).responses.create(**ASK, stream=True)
    *_, last = [event async for event in stream]
    assert last.type == "error"
    assert (last.message, last.code) == ("The engine broke.", "engine_failed")
    assert last.sequence_number > 2
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["outcome"] == "failed"


async def test_a_stranger_reaches_no_node(site: Site, stranger: str) -> None:
    node = await site.add_node()
    async with site.post("/v1/responses", ASK, key=stranger) as response:
        assert response.status == 404
    assert node.tickets == []


CRM: Any = {
    "type": "namespace",
    "name": "mcp__crm",
    "description": "Customers.",
    "tools": [
        {"type": "function", "name": "sum", "parameters": {"type": "object"}},
        {"type": "custom", "name": "free"},
    ],
}


async def calls_in_a_namespace(ticket: Ticket) -> AsyncIterator[Event]:
    yield Delta(tool_calls=[{"id": "c1", "type": "function", "function": {"name": "mcp__crm__sum", "arguments": "{}"}}])
    yield Delta(tool_calls=[{"id": "c2", "type": "function", "function": {"name": "sum", "arguments": "{}"}}])
    yield Final("tool_calls", prompt_tokens=3, completion_tokens=2)


async def test_functions_in_a_namespace_are_offered_by_whole_names_and_called_by_their_own(site: Site) -> None:
    """As Codex offers the tools of MCP servers, and sends its turns back."""
    node = await site.add_node(script=calls_in_a_namespace)
    client = _client(site)
    choice: Any = {"type": "function", "name": "sum", "namespace": "mcp__crm"}
    raw = await client.responses.with_raw_response.create(**ASK, tools=[TOOL, CRM], tool_choice=choice)
    whole = raw.parse()
    async with client.responses.stream(**ASK, tools=[TOOL, CRM]) as stream:
        events = [event async for event in stream]
        streamed = await stream.get_final_response()
    added: list[Any] = [event.item for event in events if event.type == "response.output_item.added"]
    for items in (whole.output, streamed.output, added):
        found: list[Any] = list(items)
        assert [(each.namespace, each.name) for each in found] == [("mcp__crm", "sum"), (None, "sum")]
    assert raw.headers["x-ollamamax-ignored"] == "tools.namespace.custom"
    assert node.tickets[0].inference.tool_choice == {"type": "function", "function": {"name": "mcp__crm__sum"}}
    offered = [tool["function"] for tool in node.tickets[0].inference.tools]
    assert [(each["name"], each.get("description")) for each in offered] == [
        ("sum", None),
        ("mcp__crm__sum", "Customers."),
    ]
    turns: Any = [item.model_dump(exclude_none=True) for item in whole.output]
    turns += [{"type": "function_call_output", "call_id": id_, "output": "5"} for id_ in ("c1", "c2")]
    await client.responses.create(model="echo", input=turns, tools=[TOOL, CRM])
    called = node.tickets[-1].inference.messages[0]["tool_calls"]
    assert [call["function"]["name"] for call in called] == ["mcp__crm__sum", "sum"]


@pytest.mark.parametrize(
    "tools",
    [
        [{**CRM, "tools": CRM["tools"][:1] * 2}],
        [{**TOOL, "name": "mcp__crm__sum"}, CRM],
        [{"type": "namespace", "tools": []}],
        [{"type": "namespace", "name": "a", "tools": [{"type": "function"}]}],
        [{"type": "namespace", "name": "a", "tools": [3]}],
    ],
)
async def test_a_namespace_that_is_not_well_formed_or_leaves_a_doubt_is_refused(site: Site, tools: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await _client(site).responses.create(**ASK, tools=tools)
    assert refused.value.param == "tools"
