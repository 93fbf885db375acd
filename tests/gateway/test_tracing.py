"""A trace from the client's own span to the node's engine, as a collector gets it; and what is traced, and what it costs when it is off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax import env
from ollamamax.contract import Delta, Event, Failure, Final, Started, Ticket
from ollamamax.observability import tracing
from ollamamax.observability.exposition import Page
from ollamamax.observability.sampling import TraceSampling
from tests.fakes.node import echo
from tests.gateway.collector import Collector, Received, collecting
from tests.gateway.conftest import Site
from tests.observability.scraped import OPENMETRICS
from tests.patience import LONG, until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MESSAGES = [{"role": "user", "content": "a secret question"}]


def settings(collector: Collector, **changes: str) -> env.Environment:
    given = {
        "OLLAMAMAX_TRACE_URL": collector.url,
        "OLLAMAMAX_TRACE_SHARE": "1",
        "OLLAMAMAX_TRACE_HEADERS": "x-key=abc",
        **changes,
    }
    return env.read(given, only=[setting.name for setting in env.SETTINGS if "_TRACE_" in setting.name])


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        tracing.start(settings(made), "1")
        yield made
        tracing.stop()


async def chat(site: Site, trace: str = TRACE, *, flags: str = "01", **more: Any) -> int:
    body = {"model": "echo", "messages": MESSAGES, "stream": True, **more}
    async with site.post("/v1/chat/completions", body, headers={"traceparent": f"00-{trace}-{SPAN}-{flags}"}) as answer:
        await answer.read()
        return int(answer.status)


async def collected(collector: Collector, trace: str = TRACE) -> list[Received]:
    async with asyncio.timeout(LONG):
        while not collector.of(trace):
            await asyncio.sleep(0.02)
    return collector.of(trace)


async def slow(ticket: Ticket) -> AsyncIterator[Event]:
    yield Started(time.time())
    await asyncio.sleep(0.06)
    yield Delta("a secret answer", tokens=2)
    yield Final(prompt_tokens=3, completion_tokens=2, load_ms=10.0, prompt_ms=20.0, eval_ms=25.0)


async def test_one_trace_goes_from_the_clients_span_to_the_nodes_engine(site: Site, collector: Collector) -> None:
    node = await site.add_node(script=slow)
    assert await chat(site) == 200
    spans = await collected(collector)
    assert collector.tree(TRACE) == (
        "ollamamax-gateway: ask /v1/chat/completions\n"
        "  ollamamax-gateway: parse and route\n"
        "  ollamamax-gateway: admit\n"
        "  ollamamax-gateway: attempt\n"
        "    ollamamax-node: run\n"
        "      ollamamax-node: load\n"
        "      ollamamax-node: prefill\n"
        "      ollamamax-node: generation"
    )
    of = {each.span.name: each for each in spans}
    assert of["ask /v1/chat/completions"].span.parent_span_id.hex() == SPAN
    # What the node's engine is told stands above its own spans.
    assert node.tickets[0].traceparent.split("-")[1:3] == [TRACE, of["attempt"].span.span_id.hex()]
    assert of["run"].host == of["attempt"].attributes["ollamamax.node"] == node.node
    assert of["run"].attributes["gen_ai.usage.output_tokens"] == 2
    for each in spans:
        assert each.span.start_time_unix_nano <= each.span.end_time_unix_nano
    for inner, outer in (
        ("load", "run"),
        ("generation", "run"),
        ("run", "attempt"),
        ("attempt", "ask /v1/chat/completions"),
    ):
        assert of[outer].span.start_time_unix_nano <= of[inner].span.start_time_unix_nano
        assert of[inner].span.end_time_unix_nano <= of[outer].span.end_time_unix_nano + 1_000_000
    assert collector.headers[0]["x-key"] == "abc"
    assert not any("secret" in str(each.span) for each in spans)
    # The page of metrics leads to it.
    page = Page("gateway", "1").render(OPENMETRICS)[0].decode()
    assert f'trace_id="{TRACE}"' in page


async def test_an_attempt_that_is_made_again_is_linked_to_the_one_that_failed(site: Site, collector: Collector) -> None:
    fails = [True]

    async def breaks(ticket: Ticket) -> AsyncIterator[Event]:
        yield Started(time.time())
        if fails:
            fails.pop()
            yield Failure("engine_failed", "It broke.", 502)
            return
        async for event in echo(ticket):
            yield event

    await site.add_node(script=breaks)
    await site.add_node(script=breaks)
    assert await chat(site) == 200
    attempts = [each for each in await collected(collector) if each.span.name == "attempt"]
    first, second = sorted(attempts, key=lambda each: each.attributes["ollamamax.attempt"])
    assert (first.span.status.code, first.span.status.message) == (2, "engine_failed")
    assert second.span.status.code == 0
    assert [link.span_id for link in second.span.links] == [first.span.span_id]
    assert first.span.parent_span_id == second.span.parent_span_id
    told = {ticket.traceparent.split("-")[2] for node in site.nodes for ticket in node.tickets}
    assert told == {each.span.span_id.hex() for each in attempts}


async def test_a_wait_in_the_queue_and_a_refusal_are_seen(site: Site, collector: Collector) -> None:
    go = asyncio.Event()

    async def waits(ticket: Ticket) -> AsyncIterator[Event]:
        await go.wait()
        async for event in echo(ticket):
            yield event

    node = await site.add_node(script=waits, capacity=1)
    first = asyncio.create_task(chat(site))
    await until(lambda: bool(node.tickets))
    other = "1" * 32
    second = asyncio.create_task(chat(site, other))
    service = await site.gateway.start()
    await until(lambda: service.dispatcher.waiting == 1)
    go.set()
    assert await first == await second == 200
    [queue] = [each for each in await collected(collector, other) if each.span.name == "queue"]
    assert queue.attributes["ollamamax.queue.length"] == 1
    refused = "2" * 32
    assert await chat(site, refused, model="nothing") == 404
    [span] = await collected(collector, refused)
    assert span.attributes["error.type"] == "model_not_found"
    assert span.attributes["http.response.status_code"] == 404


async def test_of_all_requests_some_are_traced_and_of_those_that_fail_every_one(site: Site) -> None:
    works = [True]

    async def works_once(ticket: Ticket) -> AsyncIterator[Event]:
        if works:
            works.pop()
            async for event in slow(ticket):
                yield event
        else:
            yield Failure("engine_failed", "It broke.", 502)

    await site.add_node(script=works_once)
    with collecting() as collector:
        tracing.start(settings(collector, OLLAMAMAX_TRACE_SHARE="0", OLLAMAMAX_TRACE_TENANTS=f"{'0' * 32}=1"), "1")
        try:
            assert await chat(site, "3" * 32) == 200
            assert await chat(site, "4" * 32) == 502
            await collected(collector, "4" * 32)
        finally:
            tracing.stop()
        assert collector.of("3" * 32) == []


@given(st.integers(0, 16**32 - 1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_traces_all_that_a_smaller_one_does_and_every_process_decides_alike(
    number: int, one: float, other: float
) -> None:
    trace, (less, more) = f"{number:032x}", sorted((one, other))
    taken = {"trace": trace, "tenant": "t", "failed": False, "seconds": 0.1}
    if TraceSampling(less, 10.0).takes(**taken):  # type: ignore[arg-type]
        assert TraceSampling(more, 10.0).takes(**taken)  # type: ignore[arg-type]
    assert TraceSampling(1.0, 10.0).takes(**taken)  # type: ignore[arg-type]
    assert not TraceSampling(0.0, 10.0).takes(**taken)  # type: ignore[arg-type]
    assert TraceSampling(1.0, 10.0, {"t": 0.0}).takes(**taken | {"seconds": 10.0})  # type: ignore[arg-type]
    assert not TraceSampling(1.0, 10.0, {"t": 0.0}).takes(**taken)  # type: ignore[arg-type]
    assert not TraceSampling(1.0, 10.0).takes(**taken, wanted=False)  # type: ignore[arg-type]


async def test_a_collector_that_is_away_ends_no_request(site: Site) -> None:
    await site.add_node()
    away = Collector("http://127.0.0.1:9/v1/traces")
    tracing.start(settings(away), "1")
    try:
        assert await chat(site) == 200
    finally:
        await asyncio.to_thread(tracing.stop)


def test_off_it_imports_nothing() -> None:
    """The client of Redis imports a part of OpenTelemetry by itself where that is installed; what sends traces is not in it."""
    said = (
        "import sys, ollamamax.gateway.app, ollamamax.observability.start;"
        "assert not [n for n in sys.modules if n.startswith(('opentelemetry.exporter', 'opentelemetry.proto', 'google.protobuf'))]"
    )
    subprocess.run([sys.executable, "-c", said], check=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SHARE", "2"), ("SHARE", "x"), ("SHARE", "nan"), ("TENANTS", "acme=1"), ("HEADERS", "a b=c"), ("URL", "ftp://x")],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: str) -> None:
    with pytest.raises(env.EnvironmentInvalid):
        env.read({f"OLLAMAMAX_TRACE_{name}": value}, only=[f"OLLAMAMAX_TRACE_{name}"])
