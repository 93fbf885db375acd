"""Limits of keys and tenants: requests, tokens, how many at once."""

from __future__ import annotations

import asyncio

from ollamamax.bus import keys
from tests.gateway.conftest import Site
from tests.gateway.waiting import ASK, Gate, ask, full, queued
from tests.patience import until


async def test_limits_of_a_key_are_429_with_the_time_to_wait(site: Site) -> None:
    await site.add_node()
    few = await site.issue_key(site.tenant, limits={"requests_per_minute": 2})
    assert [(await ask(site, "x", key=few))[0] for _ in range(3)] == [200, 200, 429]
    _, answer, headers = await ask(site, "x", key=few)
    assert answer["error"]["code"] == "rate_limit_exceeded"
    assert "2 requests a minute" in answer["error"]["message"]
    assert 20 <= int(headers["retry-after"]) <= 30
    assert (await ask(site, "x"))[0] == 200


async def test_tokens_are_taken_as_expected_and_corrected_to_what_was_used(site: Site) -> None:
    gate = Gate()
    await site.add_node(script=gate)
    limited = await site.issue_key(site.tenant, limits={"tokens_per_minute": 200})

    async def large() -> int:
        async with site.post("/v1/chat/completions", {**ASK, "max_tokens": 900}, limited) as response:
            await response.read()
            return int(response.status)

    first = asyncio.create_task(large())
    await until(lambda: len(gate.said) == 1)
    # While it runs nobody knows how few tokens it will be.
    assert await large() == 429
    gate.let(2)
    assert await first == 200
    await until(lambda: not site.client.hlen(keys.OPEN))
    assert await large() == 200


async def test_how_many_at_once_counts_those_who_wait(site: Site) -> None:
    gate, _ = await full(site)
    limited = await site.issue_key(site.tenant, limits={"concurrent": 1})
    await ask(site, "waits", wait=False, key=limited)
    await queued(site, 1)
    status, answer, _ = await ask(site, "x", key=limited)
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    gate.let(2)
    await until(lambda: not site.client.exists(keys.active(limited)))
