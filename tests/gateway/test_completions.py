"""POST /v1/completions, with the official client and by hand."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.scripts import is_sure
from tests.patience import until

ASK: dict[str, Any] = {"model": "echo", "prompt": "one two three"}


def _client(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)


async def test_the_official_client_gets_a_whole_answer_and_a_record_is_written(site: Site) -> None:
    node = await site.add_node()
    answer = await _client(site).completions.create(**ASK, seed=3, stop=["x"])
    assert answer.choices[0].text == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
    inference = node.tickets[0].inference
    assert (inference.kind, inference.prompt, inference.messages) == ("completion", "one two three", [])
    assert (inference.options.seed, inference.options.stop, inference.options.max_tokens) == (3, ["x"], 16)
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["api"] == "/v1/completions"
    assert (site.usage()[0]["prompt_tokens"], site.usage()[0]["completion_tokens"]) == (7, 3)


async def test_the_official_client_streams(site: Site) -> None:
    await site.add_node()
    stream = await _client(site).completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "one two three"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_the_prompt_is_echoed_when_asked_for(site: Site) -> None:
    await site.add_node()
    answer = await _client(site).completions.create(model="echo", prompt=["a b"], echo=True)
    assert answer.choices[0].text == "a ba b"
    stream = await _client(site).completions.create(model="echo", prompt="a b", echo=True, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "a ba b"


async def test_log_probabilities_have_this_endpoints_own_form(site: Site) -> None:
    node = await site.add_node(script=is_sure)
    answer = await _client(site).completions.create(**ASK, logprobs=2)
    found = answer.choices[0].logprobs
    assert found is not None
    assert (found.tokens, found.token_logprobs, found.text_offset) == (["Hé", "llo"], [-0.5, -0.5], [0, 2])
    assert found.top_logprobs == [{"Hé": -0.5, "x": -2.0}, {"llo": -0.5, "x": -2.0}]
    assert (node.tickets[0].inference.logprobs, node.tickets[0].inference.top_logprobs) == (True, 2)
    stream = await _client(site).completions.create(**ASK, logprobs=0, stream=True)
    chunks = [chunk async for chunk in stream]
    assert [chunk.choices[0].logprobs.text_offset for chunk in chunks if chunk.choices[0].logprobs] == [[0], [2]]


BAD: list[tuple[Any, int, str | None]] = [
    ({"model": "echo"}, 400, "prompt"),
    ({**ASK, "prompt": ""}, 400, "prompt"),
    ({**ASK, "prompt": []}, 400, "prompt"),
    ({**ASK, "prompt": [1, -2]}, 400, "prompt"),
    ({**ASK, "prompt": [1, 1 << 70]}, 400, "prompt"),
    ({**ASK, "prompt": [[1], []]}, 400, "prompt"),
    ({**ASK, "prompt": [[1], "b"]}, 400, "prompt"),
    ({**ASK, "prompt": ["a"] * 129}, 400, "prompt"),
    ({**ASK, "n": 9}, 400, "n"),
    ({**ASK, "best_of": 2}, 400, "best_of"),
    ({**ASK, "logit_bias": {"1": 200}}, 400, "logit_bias"),
    ({**ASK, "max_tokens": 1 << 31}, 400, "max_tokens"),
    ({**ASK, "logprobs": 6}, 400, "logprobs"),
    ({**ASK, "logprobs": True}, 400, "logprobs"),
    ({**ASK, "echo": True, "logprobs": 1}, 400, "echo"),
    ({**ASK, "max_tokens": 0}, 400, "max_tokens"),
    ({**ASK, "temperature": 9}, 400, "temperature"),
    ({**ASK, "model": "nothing"}, 404, "model"),
    ({**ASK, "prompt": "x" * 200_000}, 413, None),
]


@pytest.mark.parametrize(("body", "status", "param"), BAD)
async def test_bad_input_is_refused_by_name(site: Site, body: Any, status: int, param: str | None) -> None:
    await site.add_node()
    async with site.post("/v1/completions", body) as response:
        assert response.status == status
        assert (await response.json())["error"]["param"] == param
    assert site.usage() == []


async def test_a_stranger_reaches_no_node(site: Site, stranger: str) -> None:
    node = await site.add_node()
    async with site.post("/v1/completions", ASK, key=stranger) as response:
        assert response.status == 404
    assert node.tickets == []
