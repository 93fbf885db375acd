"""POST /v1/chat/completions, with the official client and by hand."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from ollamamax.bus import directory, keys
from ollamamax.contract.tables import TENANTS
from tests.gateway.conftest import Site
from tests.gateway.scripts import is_sure
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


def _client(site: Site, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key or site.key, max_retries=0)


async def test_the_official_client_gets_a_whole_answer_with_true_counts(site: Site) -> None:
    await site.add_node()
    answer = await _client(site).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (7, 3, 10)


async def test_the_official_client_streams_and_the_last_chunk_has_usage(site: Site) -> None:
    await site.add_node()
    stream = await _client(site).chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "one two three"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_ends_with_done_and_names_request_and_node(site: Site) -> None:
    node = await site.add_node()
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        text = await response.text()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-request-id"] == node.tickets[0].id.split(".")[0]
        assert response.headers["x-ollamamax-node"] == "node-0"
    assert text.endswith("data: [DONE]\n\n")


async def test_the_trace_is_carried_to_the_node_and_back(site: Site) -> None:
    node = await site.add_node()
    parent = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
    async with site.post("/v1/chat/completions", ASK, headers={"traceparent": parent}) as response:
        assert response.headers["traceparent"].split("-")[1] == "a1" * 16
    assert node.tickets[0].traceparent.split("-")[1] == "a1" * 16
    assert node.tickets[0].traceparent != parent
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["trace"] == "a1" * 16


async def test_every_request_leaves_one_record_with_what_it_used(site: Site) -> None:
    node = await site.add_node()
    async with site.post("/v1/chat/completions", ASK) as response:
        assert response.status == 200
    await until(lambda: len(site.usage()) == 1)
    record = site.usage()[0]
    assert record["tenant"] == site.tenant
    assert record["node"] == node.node
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 3)
    assert record["outcome"] == "ok"
    assert 0 <= record["queue_ms"] <= record["duration_ms"]
    assert 0 < record["first_token_ms"] <= record["duration_ms"]
    assert site.client.hlen("omx:open") == 0
    assert site.client.scard(keys.node_slots(node.node)) == 0


def _with_image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


BAD: list[tuple[Any, int, str | None]] = [
    ({"messages": []}, 400, "model"),
    ({"model": "echo", "messages": []}, 400, "messages"),
    ({"model": "echo", "messages": "hi"}, 400, "messages"),
    ({**ASK, "temperature": "warm"}, 400, "temperature"),
    ({**ASK, "temperature": 3}, 400, "temperature"),
    ({**ASK, "max_tokens": -1}, 400, "max_tokens"),
    ({**ASK, "n": 0}, 400, "n"),
    ({**ASK, "n": 9}, 400, "n"),
    ({**ASK, "parallel_tool_calls": 1}, 400, "parallel_tool_calls"),
    ({**ASK, "logprobs": 1}, 400, "logprobs"),
    ({**ASK, "top_logprobs": 2}, 400, "top_logprobs"),
    ({**ASK, "logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
    ({**ASK, "response_format": {"type": "poem"}}, 400, "response_format"),
    ({**ASK, "model": "nothing"}, 404, "model"),
    ({**ASK, "messages": [_with_image("http://10.0.0.1/secret")]}, 400, "messages"),
    ({**ASK, "messages": [_with_image("file:///etc/passwd")]}, 400, "messages"),
    ({**ASK, "model": "x" * 200_000}, 413, None),
    ([], 400, None),
]


@pytest.mark.parametrize(("body", "status", "param"), BAD)
async def test_bad_input_is_refused_in_openais_form(site: Site, body: Any, status: int, param: str | None) -> None:
    await site.add_node()
    async with site.post("/v1/chat/completions", body) as response:
        assert response.status == status
        error = (await response.json())["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"] == param
        assert error["message"]
    assert site.usage() == []


async def test_an_unknown_parameter_is_ignored_and_told_unless_strictness_is_asked_for(site: Site) -> None:
    await site.add_node()
    body = {**ASK, "temprature": 1}
    async with site.post("/v1/chat/completions", body) as response:
        assert (response.status, response.headers["x-ollamamax-ignored"]) == (200, "temprature")
    async with site.post("/v1/chat/completions", body, headers={"x-ollamamax-strict": "1"}) as response:
        assert response.status == 400
        assert "temprature" in (await response.json())["error"]["message"]
    directory.publish(site.client, "tenants", {site.tenant: b'{"strict_fields": true}'})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(TENANTS, site.tenant) is not None)
    async with site.post("/v1/chat/completions", body) as response:
        assert response.status == 400
    for strict, status in ((False, 200), (True, 400), (None, 400)):
        key = await site.issue_key(site.tenant, strict_fields=strict)
        async with site.post("/v1/chat/completions", body, key) as response:
            assert response.status == status, "the key's word counts before the tenant's"


async def test_a_body_that_is_not_json_is_refused(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.key}"}
    async with site.http.post(f"{site.url}/v1/chat/completions", data=b"{", headers=headers) as response:
        assert response.status == 400
        assert "JSON" in (await response.json())["error"]["message"]


async def test_wrong_keys_are_refused_alike(site: Site) -> None:
    wrong_secret = site.key[:-3] + "AAA"
    expired = await site.issue_key(site.tenant, expires_at=1.0)
    for key in ("", "sk-123", wrong_secret, expired, "omx_" + "a" * 16 + "_" + "b" * 43):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with site.http.post(f"{site.url}/v1/chat/completions", json=ASK, headers=headers) as response:
            assert response.status == 401
            assert response.headers["www-authenticate"] == "Bearer"
            body = await response.json()
            assert body["error"]["code"] == "invalid_api_key"
            assert not key or key not in json.dumps(body)


async def test_a_key_without_the_permission_is_forbidden(site: Site) -> None:
    key = await site.issue_key(site.tenant, permissions=["node.view"])
    async with site.post("/v1/chat/completions", ASK, key=key) as response:
        assert response.status == 403


async def test_a_stranger_sees_no_model_and_reaches_no_node(site: Site, stranger: str) -> None:
    node = await site.add_node()
    async with site.post("/v1/chat/completions", ASK, key=stranger) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "model_not_found"
    async with site.get("/v1/models", key=stranger) as response:
        assert (await response.json())["data"] == []
    assert node.tickets == []


async def test_a_stranger_with_a_model_of_the_same_version_does_not_reach_the_others_node(site: Site) -> None:
    from ollamamax.kernel.ids import new_id
    from tests.gateway.conftest import publish_model

    node = await site.add_node()
    other = new_id()
    publish_model(site.client, other)
    key = await site.issue_key(other)
    async with site.post("/v1/chat/completions", ASK, key=key) as response:
        assert response.status == 503
    assert node.tickets == []


async def test_the_wrong_method_is_said_so(site: Site) -> None:
    async with site.get("/v1/chat/completions") as response:
        assert response.status == 405
        assert response.headers["allow"] == "POST, OPTIONS"
    async with site.get("/v1/nothing") as response:
        assert response.status == 404


async def test_log_probabilities_come_whole_and_in_the_stream(site: Site) -> None:
    node = await site.add_node(script=is_sure)
    answer = await _client(site).chat.completions.create(**ASK, logprobs=True, top_logprobs=2)
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.content is not None
    assert [(each.token, each.logprob) for each in found.content] == [("Hé", -0.5), ("llo", -0.5)]
    assert [each.token for each in found.content[0].top_logprobs] == ["Hé", "x"]
    assert (node.tickets[0].inference.logprobs, node.tickets[0].inference.top_logprobs) == (True, 2)
    stream = await _client(site).chat.completions.create(**ASK, logprobs=True, stream=True)
    chunks = [chunk async for chunk in stream]
    assert [c.choices[0].logprobs.content[0].token for c in chunks if c.choices[0].logprobs] == ["Hé", "llo"]
    plain = await _client(site).chat.completions.create(**ASK)
    assert plain.choices[0].logprobs is None
