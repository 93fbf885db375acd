"""What a gateway counts of its requests, however they end, and to whom it shows that on its own port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ollamamax.contract import Delta, Event, Failure, Final, Started, Ticket
from ollamamax.observability import instruments, start
from ollamamax.observability.exposition import Page
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.observability.scraped import OPENMETRICS, Scraped
from tests.patience import LONG, until

TOKEN = "t" * 24
MESSAGES = [{"role": "user", "content": "one two three"}]


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    for each in (instruments.TENANTS, instruments.MODELS):
        each.forget()
    made = Page("gateway", "1", TOKEN)
    monkeypatch.setattr(start, "current", made)
    yield made
    for each in (instruments.TENANTS, instruments.MODELS):
        each.forget()


async def scrape(site: Site) -> Scraped:
    headers = {"authorization": f"Bearer {TOKEN}", "accept": OPENMETRICS}
    async with site.http.get(f"{site.url}/metrics", headers=headers) as answer:
        assert answer.status == 200
        return Scraped.of(await answer.read(), answer.headers["content-type"])


async def chat(site: Site, *, stream: bool = False, **more: Any) -> int:
    body = {"model": "echo", "messages": MESSAGES, "stream": stream, **more}
    async with site.post("/v1/chat/completions", body) as answer:
        await answer.read()
        return int(answer.status)


async def grown(site: Site, before: Scraped, name: str, amount: float, **labels: str) -> None:
    """Wait until so much more was counted."""
    async with asyncio.timeout(LONG):
        while (await scrape(site)).sum(name, **labels) - before.sum(name, **labels) != amount:
            await asyncio.sleep(0.02)


async def test_an_answer_is_counted_where_it_ends(site: Site) -> None:
    await site.add_node()
    before = await scrape(site)
    assert await chat(site) == 200
    assert await chat(site, stream=True) == 200
    await grown(site, before, "ollamamax_requests_total", 2, api="/v1/chat/completions", outcome="ok", status="2xx")
    after = await scrape(site)
    assert after.sum("ollamamax_tenant_requests_total", tenant=site.tenant, outcome="ok") == 2
    for name in ("ollamamax_tokens_total", "ollamamax_tenant_tokens_total"):
        assert after.sum(name) > before.sum(name)
    assert "echo:latest" in after.values("ollamamax_tokens_total", "model")
    for name, amount in (
        ("ollamamax_request_duration_seconds_count", 2),
        ("ollamamax_admission_seconds_count", 2),
        ("ollamamax_routed_total", 2),
    ):
        assert after.sum(name) - before.sum(name) == amount, name
    # When the first token of what is not streamed was made is known where it came before the end.
    first = "ollamamax_time_to_first_token_seconds_count"
    assert 1 <= after.sum(first) - before.sum(first) <= 2
    assert after.sum("ollamamax_reachable_nodes") == 1
    assert after.sum("ollamamax_open_requests") == 0


async def test_a_failure_a_retry_and_a_refusal_are_told_apart_and_no_node_makes_up_a_code(site: Site) -> None:
    fails = ["engine_failed", "made_up_by_a_node"]

    async def breaks(ticket: Ticket) -> AsyncIterator[Event]:
        yield Started(0.0)
        if fails:
            yield Failure(fails.pop(0), "It broke.", 502)
            return
        yield Delta("x", tokens=1)
        yield Final(prompt_tokens=1, completion_tokens=1)

    await site.add_node(script=breaks)
    await site.add_node(script=breaks)
    before = await scrape(site)
    await chat(site)
    await chat(site)
    async with site.post("/v1/chat/completions", {"model": "nothing", "messages": MESSAGES}) as answer:
        assert answer.status == 404
    async with site.post("/v1/chat/completions", {"model": "echo", "messages": MESSAGES}, key="omx_wrong") as answer:
        assert answer.status == 401
    await grown(site, before, "ollamamax_requests_total", 4)
    after = await scrape(site)
    assert after.sum("ollamamax_retries_total") - before.sum("ollamamax_retries_total") >= 1
    assert "made_up_by_a_node" not in after.values("ollamamax_request_errors_total", "code")
    for code in ("model_not_found", "unauthenticated"):
        name = "ollamamax_request_errors_total"
        assert after.sum(name, code=code) - before.sum(name, code=code) == 1
    # Nobody makes series by asking for names.
    assert "nothing" not in "".join(after.values("ollamamax_tokens_total", "model"))


async def test_who_waits_and_who_leaves_is_counted(site: Site) -> None:
    go = asyncio.Event()

    async def waits(ticket: Ticket) -> AsyncIterator[Event]:
        await go.wait()
        async for event in echo(ticket):
            yield event

    await site.add_node(script=waits, capacity=1)
    before = await scrape(site)
    first = asyncio.create_task(chat(site))
    await until(lambda: bool(site.nodes[0].tickets))
    second = asyncio.create_task(chat(site))
    await grown(site, before, "ollamamax_waiting_requests", 1)
    leaves = asyncio.create_task(chat(site))
    await grown(site, before, "ollamamax_waiting_requests", 2)
    leaves.cancel()
    await grown(site, before, "ollamamax_cancellations_total", 1, by="client")
    go.set()
    assert await first == await second == 200
    await grown(site, before, "ollamamax_queue_wait_seconds_count", 1)
    after = await scrape(site)
    for how, amount in (("at_once", 1), ("waited", 1), ("none", 1)):
        name = "ollamamax_admissions_total"
        assert after.sum(name, admission=how) - before.sum(name, admission=how) == amount


async def test_without_the_token_the_port_of_clients_says_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for headers in ({}, {"authorization": f"Bearer {site.key}"}, {"authorization": "Bearer x"}):
        async with site.http.get(f"{site.url}/metrics", headers=headers) as answer:
            assert (answer.status, await answer.read()) == (401, b"")
    monkeypatch.setattr(start, "current", Page("gateway", "1"))
    async with site.http.get(f"{site.url}/metrics") as answer:
        assert answer.status == 404


async def test_times_have_the_names_of_opentelemetry_besides_where_that_is_asked_for(site: Site) -> None:
    await site.add_node()
    assert await chat(site, stream=True) == 200
    for genai in (False, True):
        asked = Scraped.of(*Page("gateway", "1", genai=genai).render(OPENMETRICS))
        theirs = "gen_ai_server_time_to_first_token_seconds_count"
        assert (theirs in asked.names) == genai
        if genai:
            assert asked.sum(theirs) == asked.sum("ollamamax_time_to_first_token_seconds_count")
            assert "echo:latest" in asked.values(theirs, "gen_ai_request_model")
