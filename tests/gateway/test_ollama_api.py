"""/api/chat, /api/generate, /api/tags, /api/version, with the official client and by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import ollama
import pytest

from ollamamax.contract import Delta, Event, Final, Ticket
from tests.gateway.conftest import VERSION, Site
from tests.gateway.scripts import calls_a_tool, calls_badly, is_sure
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


def _client(site: Site, key: str | None = None) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {key or site.key}"})


async def test_the_official_client_chats(site: Site) -> None:
    await site.add_node()
    answer = await _client(site).chat(**ASK)
    assert answer.message.content == "one two three"
    assert (answer.prompt_eval_count, answer.eval_count, answer.done_reason) == (7, 3, "stop")
    assert answer.eval_duration == 2_500_000


async def test_chat_streams_by_default(site: Site) -> None:
    await site.add_node()
    async with site.post("/api/chat", ASK) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "one two three"
    assert [line["done"] for line in lines] == [*[False] * (len(lines) - 1), True]
    assert lines[-1]["eval_count"] == 3
    assert lines[-1]["total_duration"] > 0


async def test_generate_goes_through_the_chat_template(site: Site) -> None:
    node = await site.add_node()
    answer = await _client(site).generate(model="echo", prompt="four five", system="be brief", options={"seed": 3})
    assert answer.response == "four five"
    inference = node.tickets[0].inference
    assert inference.kind == "chat"
    assert [message["role"] for message in inference.messages] == ["system", "user"]
    assert inference.options.seed == 3


@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_goes_on_from_the_context_of_the_last_answer(site: Site, stream: bool) -> None:
    async def remembers(ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(text="x", tokens=1)
        yield Final(context=[*ticket.inference.context, 7])

    node = await site.add_node(script=remembers)
    context: list[int] = []
    for _ in range(2):
        body = {"model": "echo", "prompt": "x", "stream": stream, "context": context}
        async with site.post("/api/generate", body) as response:
            *_, last = (json.loads(line) for line in (await response.text()).splitlines())
        context = last["context"]
    assert context == [7, 7]
    assert [ticket.inference.with_context for ticket in node.tickets] == [True, True]
    async with site.post("/api/chat", {**ASK, "stream": False}) as response:
        assert "context" not in await response.json()


async def test_a_raw_prompt_does_not(site: Site) -> None:
    node = await site.add_node()
    answer = await _client(site).generate(model="echo", prompt="six", raw=True, keep_alive="1h30m")
    assert answer.response == "six"
    assert node.tickets[0].inference.kind == "completion"
    assert node.tickets[0].inference.keep_alive == 5400


async def test_tags_list_the_tenants_models_only(site: Site, stranger: str) -> None:
    listed = await _client(site).list()
    assert [(model.model, model.digest, model.size) for model in listed.models] == [
        ("echo:latest", VERSION.removeprefix("sha256:"), 1234)
    ]
    assert (await _client(site, stranger).list()).models == []


async def test_openais_list_says_the_same(site: Site) -> None:
    async with site.get("/v1/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["echo:latest"]


async def test_version_is_told_to_those_with_a_key(site: Site) -> None:
    async with site.get("/api/version") as response:
        assert (await response.json())["version"].count(".") == 2
    async with site.http.get(f"{site.url}/api/version") as response:
        assert response.status == 401
        assert await response.json() == {"error": "unauthorized"}


BAD: list[tuple[str, Any, int]] = [
    ("/api/chat", {"messages": []}, 400),
    ("/api/chat", {"model": ""}, 400),
    ("/api/embed", {"input": "x"}, 400),
    ("/api/chat", {**ASK, "messages": [{"role": "king", "content": ""}]}, 400),
    ("/api/chat", {**ASK, "options": {"temperature": "warm"}}, 400),
    ("/api/chat", {**ASK, "options": {"seed": "one"}}, 400),
    ("/api/chat", {**ASK, "format": "poem"}, 400),
    ("/api/chat", {**ASK, "keep_alive": "soon"}, 400),
    ("/api/chat", {**ASK, "messages": [{"role": "user", "content": "", "images": ["&&&"]}]}, 400),
    ("/api/chat", {**ASK, "model": "nothing"}, 404),
    ("/api/generate", {"model": "echo", "prompt": "x", "context": [-1]}, 400),
    ("/api/generate", {"model": "echo", "prompt": "x", "context": ["1"]}, 400),
    ("/api/generate", {"model": "echo", "prompt": "x", "template": "{{ .Prompt }}"}, 400),
    ("/api/generate", {"model": "echo", "prompt": "x", "raw": True, "system": "y"}, 400),
    ("/api/generate", {"model": "echo", "prompt": "x" * 200_000}, 413),
]


@pytest.mark.parametrize(("path", "body", "status"), BAD)
async def test_bad_input_is_refused_in_ollamas_form(site: Site, path: str, body: Any, status: int) -> None:
    await site.add_node()
    async with site.post(path, body) as response:
        assert response.status == status
        answer = await response.json()
        assert set(answer) == {"error"}
        assert isinstance(answer["error"], str)
    assert site.usage() == []


@pytest.mark.parametrize("stream", [True, False])
async def test_what_was_ignored_is_told_in_a_header(site: Site, stream: bool) -> None:
    await site.add_node()
    options = {"mirostat": 2, "num_gpu": 99, "top_k": 40.0}
    async with site.post("/api/chat", {**ASK, "tool_choice": "auto", "stream": stream, "options": options}) as response:
        assert response.status == 200
        told = response.headers["x-ollamamax-ignored"]
    assert set(told.split(", ")) == {"tool_choice", "options.mirostat", "options.num_gpu"}


async def test_tool_calls_and_thinking_take_each_protocols_form(site: Site) -> None:
    node = await site.add_node(script=calls_a_tool)
    image = "iVBORw0KGgoAAAANSUhEUg=="
    conversation = [
        {"role": "user", "content": "sum", "images": [image]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "sum", "arguments": {"a": 1}}}]},
        {"role": "tool", "content": "1", "tool_name": "sum"},
    ]
    async with site.post("/api/chat", {**ASK, "messages": conversation, "stream": False}) as response:
        message = (await response.json())["message"]
    assert message["tool_calls"] == [{"id": "c1", "function": {"name": "sum", "arguments": {"a": 1}}}]
    assert message["thinking"] == "hm"
    sent = node.tickets[0].inference.messages
    assert sent[0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        chunks = [json.loads(line[6:]) for line in (await response.text()).split("\n\n") if line[6:7] == "{"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert any(delta.get("reasoning_content") == "hm" for delta in deltas)
    assert [call["index"] for delta in deltas for call in delta.get("tool_calls", [])] == [0]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    await until(lambda: len(site.usage()) == 2)


async def test_log_probabilities_stand_beside_the_message(site: Site) -> None:
    await site.add_node(script=is_sure)
    answer = await _client(site).chat(**ASK, logprobs=True, top_logprobs=2)
    assert [(each.token, each.logprob) for each in answer.logprobs or []] == [("Hé", -0.5), ("llo", -0.5)]
    async with site.post("/api/generate", {"model": "echo", "prompt": "x", "logprobs": True}) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [line["logprobs"][0]["token"] for line in lines if "logprobs" in line] == ["Hé", "llo"]
    async with site.post("/api/chat", {**ASK, "top_logprobs": 2}) as response:
        assert response.headers["x-ollamamax-ignored"] == "top_logprobs"


async def test_arguments_that_are_no_json_are_the_models_failure(site: Site) -> None:
    await site.add_node(script=calls_badly)
    async with site.post("/api/chat", {**ASK, "stream": False}) as response:
        assert response.status == 502
        assert "'sum'" in (await response.json())["error"]
