"""Keys that are bound to addresses, routes and models, and to lengths: refused by each protocol in its own form, within a second of the change."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.bus import directory
from ollamamax.contract import Inference, Options
from ollamamax.gateway.lengths import within_lengths
from ollamamax.kernel.errors import ContextTooLong
from ollamamax.kernel.limits import Limits
from tests.gateway.conftest import Site, publish_model
from tests.gateway.waiting import Gate
from tests.patience import LONG, until

MESSAGES = [{"role": "user", "content": "x"}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "echo", "messages": MESSAGES},
    "/v1/responses": {"model": "echo", "input": "x"},
    "/v1/messages": {"model": "echo", "messages": MESSAGES, "max_tokens": 9},
    "/api/chat": {"model": "echo", "messages": MESSAGES, "stream": False},
}


def reason(path: str, answer: dict[str, Any]) -> str:
    """Where the protocol's clients look for it."""
    error = answer["error"]
    if path.startswith("/api/"):
        return str(error)
    if path == "/v1/messages":
        assert (answer["type"], error["type"]) == ("error", "permission_error")
    return str(error["message"])


@pytest.mark.parametrize("path", ASKED)
async def test_each_protocol_says_in_its_form_what_a_key_may_not_be_used_for(site: Site, path: str) -> None:
    await site.add_node()
    publish_model(site.client, site.tenant, "other:latest")
    reaches: dict[str, dict[str, list[str]]] = {
        "ok": {"addresses": ["127.0.0.0/8"], "routes": [path], "models": ["echo:*"]},
        "address": {"addresses": ["10.0.0.0/8"]},
        "route": {"routes": ["/v1/embeddings", "/api/v1/*"]},
        "models": {"models": ["other:latest"]},
    }
    answers = {}
    for name, reach in reaches.items():
        key = await site.issue_key(site.tenant, reach=reach)
        async with site.post(path, ASKED[path], key) as response:
            answers[name] = response.status, await response.json()
    assert {name: status for name, (status, _) in answers.items()} == {
        "ok": 200,
        "address": 403,
        "route": 403,
        "models": 404,
    }
    assert "address" in reason(path, answers["address"][1])
    assert "route" in reason(path, answers["route"][1])


async def test_a_key_is_listed_the_models_that_it_may_use_and_reaches_them_by_an_alias(site: Site) -> None:
    await site.add_node()
    publish_model(site.client, site.tenant, "other:latest")
    alias = {"target": "echo:latest", "modified_at": 1.0}
    directory.publish(site.client, "aliases", {f"{site.tenant}/gpt:latest": msgspec.json.encode(alias)})
    key = await site.issue_key(site.tenant, reach={"models": ["echo:latest"]})
    async with site.get("/v1/models", key) as response:
        assert {each["id"] for each in (await response.json())["data"]} == {"echo:latest", "gpt:latest"}
    async with site.post("/v1/chat/completions", {"model": "gpt", "messages": MESSAGES}, key) as response:
        assert response.status == 200


async def test_a_stream_ends_when_its_key_may_not_be_used_from_there_any_more(site: Site) -> None:
    gate = Gate()
    await site.add_node(script=gate)
    key = await site.issue_key(site.tenant, reach={"routes": ["/v1/*"]})
    identifier = key.split("_")[1]
    entry = json.loads(site.client.hget("omx:dir:keys", identifier) or b"{}")
    asked = {**ASKED["/v1/chat/completions"], "stream": True}
    async with site.post("/v1/chat/completions", asked, key) as response:
        await until(lambda: len(gate.said) == 1)
        for reach in ({"routes": ["/v1/chat/completions"]}, {"addresses": ["10.0.0.0/8"]}):
            directory.publish(site.client, "keys", {identifier: json.dumps(entry | {"reach": reach}).encode()})
        async with asyncio.timeout(LONG):
            assert "revoked" in (await response.text())


async def test_tokens_in_and_out_are_limited_apart(site: Site) -> None:
    await site.add_node()
    long = [{"role": "user", "content": "x" * 4000}]
    body = {"model": "echo", "max_tokens": 10}
    for limit, first, second in (
        ("input_tokens_per_minute", {**body, "messages": long}, {**body, "messages": MESSAGES}),
        ("output_tokens_per_minute", {**body, "messages": MESSAGES, "max_tokens": 900}, {**body, "messages": long}),
    ):
        key = await site.issue_key(site.tenant, limits={limit: 100})
        statuses, told = [], ""
        for asked in (first, first, second):
            async with site.post("/v1/messages", asked, key) as response:
                statuses.append(response.status)
                answer = await response.json()
                if response.status == 429:
                    told = answer["error"]["message"]
                    name = limit.removesuffix("_per_minute").replace("_", "-")
                    assert response.headers[f"anthropic-ratelimit-{name}-limit"] == "100"
        if limit.startswith("input"):
            assert statuses == [200, 429, 200]
            assert "100 input tokens a minute" in told
        else:
            # What was taken for the answer is given back when it turned out short.
            assert statuses == [200, 200, 200]


sizes = st.none() | st.integers(1, 3000)


@given(
    st.builds(Limits, context_tokens=sizes, output_tokens=sizes),
    st.builds(Limits, context_tokens=sizes, output_tokens=sizes),
    st.none() | st.integers(-2, 4000),
    st.integers(0, 8000),
    st.sampled_from(["chat", "completion", "embed"]),
)
def test_an_answer_is_never_longer_than_any_limit_and_never_longer_than_asked(
    key: Limits, tenant: Limits, asked: int | None, size: int, kind: Any
) -> None:
    prompt = {"inputs": ["x" * size]} if kind == "embed" else {"prompt": "x" * size}
    inference = Inference(kind=kind, options=Options(max_tokens=asked), **prompt)
    contexts = [each.context_tokens for each in (key, tenant) if each.context_tokens is not None]
    outputs = [each.output_tokens for each in (key, tenant) if each.output_tokens is not None]
    try:
        bound = within_lengths(inference, (key, tenant)).options.max_tokens
    except ContextTooLong:
        assert contexts
        assert size // 4 + (kind != "embed") > min(contexts)
        return
    if kind == "embed" or not contexts + outputs:
        assert bound == asked
        return
    assert bound is not None
    assert 0 <= bound <= min([*outputs, *(most - size // 4 for most in contexts)])
    if asked is not None and asked >= 0:
        assert bound <= asked


def test_more_context_than_the_limit_is_refused() -> None:
    with pytest.raises(ContextTooLong):
        within_lengths(Inference(kind="chat", options=Options(num_ctx=4096)), (Limits(context_tokens=2048),))
