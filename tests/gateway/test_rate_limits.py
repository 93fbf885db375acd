"""Limits are told before they are hit, in each protocol's headers, by the numbers that admission itself counts with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.dispatch.request import Level
from ollamamax.gateway.rate_limits import duration, headers, moment
from tests.gateway.conftest import Site

SAY = [{"role": "user", "content": "one two"}]
CALLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": SAY, "max_tokens": 5},
    "/v1/messages": {"messages": SAY, "max_tokens": 5},
    "/api/chat": {"messages": SAY, "options": {"num_predict": 5}},
}


def _told(found: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in found.items() if "ratelimit" in name.lower()}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", CALLS)
async def test_what_is_left_is_told_with_every_answer_and_with_the_refusal(site: Site, path: str, stream: bool) -> None:
    await site.add_node()
    key = await site.issue_key(site.tenant, limits={"requests_per_minute": 3, "tokens_per_minute": 10_000})
    form = "anthropic-ratelimit-requests-{}" if path == "/v1/messages" else "x-ratelimit-{}-requests"
    tokens = "anthropic-ratelimit-tokens-{}" if path == "/v1/messages" else "x-ratelimit-{}-tokens"
    for left, status in ((2, 200), (1, 200), (0, 200), (0, 429)):
        async with site.post(path, {"model": "echo", "stream": stream, **CALLS[path]}, key) as response:
            assert response.status == status
            told = _told(response.headers)
            assert (told[form.format("limit")], told[form.format("remaining")]) == ("3", str(left))
            assert told[tokens.format("limit")] == "10000"
            assert 9_000 < int(told[tokens.format("remaining")]) < 10_000
            assert told[form.format("reset")]
            if status == 429:
                assert int(response.headers["retry-after"]) in range(1, 21)


async def test_without_a_limit_nothing_is_told_and_of_two_the_nearer_one(site: Site) -> None:
    await site.add_node()
    async with site.post("/v1/chat/completions", {"model": "echo", **CALLS["/v1/chat/completions"]}) as response:
        assert _told(response.headers) == {}
    at_once = await site.issue_key(site.tenant, limits={"concurrent": 4})
    async with site.post(
        "/v1/chat/completions", {"model": "echo", **CALLS["/v1/chat/completions"]}, at_once
    ) as response:
        assert (response.status, _told(response.headers)) == (200, {})
    levels = [Level("requests", 60, 50, 10.0), Level("requests", 9, 8, 6.7), Level("tokens", 100, 0, 60.0)]
    assert headers(levels, "/v1/embeddings", 0.0) == [
        (b"x-ratelimit-limit-requests", b"9"),
        (b"x-ratelimit-remaining-requests", b"8"),
        (b"x-ratelimit-reset-requests", b"6.7s"),
        (b"x-ratelimit-limit-tokens", b"100"),
        (b"x-ratelimit-remaining-tokens", b"0"),
        (b"x-ratelimit-reset-tokens", b"1m0s"),
        (b"ratelimit-policy", b'"requests";q=9;w=60, "tokens";q=100;w=60'),
        (b"ratelimit", b'"requests";r=8;t=7, "tokens";r=0;t=60'),
    ]
    budget = headers([Level("tokens-day", 1000, 5, 3600.2, 86_400)], "/v1/embeddings", 0.0)
    assert budget == [(b"ratelimit-policy", b'"tokens-day";q=1000;w=86400'), (b"ratelimit", b'"tokens-day";r=5;t=3601')]
    assert (b"anthropic-ratelimit-tokens-reset", b"1970-01-01T00:01:00Z") in headers(levels, "/v1/messages", 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0201, "21ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (60, "1m0s"),
        (86.4, "1m26.4s"),
        (3600, "60m0s"),
        (-1, "0ms"),
    ],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 4e9))
def test_a_moment_is_never_told_too_early(at: float) -> None:
    assert datetime.fromisoformat(moment(at)).timestamp() >= at
