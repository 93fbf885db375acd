"""Hard budgets as clients meet them: by many streams at once, by engines that count nothing, by gateways that die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from cluster.dispatch.spending import most_prompt_tokens
from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Final, Inference, Ticket, decode_usage
from ollamamax.contract.budgets import KnownBudget, KnownBudgets, Price
from ollamamax.contract.tables import BUDGETS
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.patience import until

BUDGET = KnownBudget("b" * 32, "tenant", "", "tokens", "day", 1000.0)
MESSAGES = [{"role": "user", "content": "one two three"}]
PROMPT = most_prompt_tokens(Inference(kind="chat", messages=MESSAGES))
ANSWER = 20
AT_MOST = PROMPT + ANSWER


async def set_budgets(site: Site, *budgets: KnownBudget, prices: dict[str, Price] | None = None) -> None:
    told = KnownBudgets(budgets, prices or {})
    directory.publish(site.client, BUDGETS.name, {site.tenant: BUDGETS.encode(told)})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(BUDGETS, site.tenant) == told)


def held(site: Site, budget: KnownBudget = BUDGET) -> tuple[float, float]:
    """What is used, and what is reserved."""
    for name in site.client.scan_iter(keys.spent(budget.id, "*")):
        found: Any = site.client.hmget(name, "used", "reserved")
        return float(found[0] or 0), round(float(found[1] or 0), 6)
    return 0.0, 0.0


async def ask(site: Site, *, key: str | None = None, stream: bool = True, **body: Any) -> tuple[int, str]:
    asked = {"model": "echo", "messages": MESSAGES, "max_tokens": ANSWER, "stream": stream, **body}
    async with site.post("/v1/chat/completions", asked, key) as response:
        return response.status, (await response.read()).decode()


async def all_words(ticket: Ticket) -> AsyncIterator[Event]:
    """As many tokens as were asked for, and a prompt of so many as its bytes."""
    most = ticket.inference.options.max_tokens or 0
    for _ in range(most):
        yield Delta(text="w ", tokens=1)
    yield Final("length", prompt_tokens=PROMPT, completion_tokens=most, prompt_ms=1.0, eval_ms=1.0)


async def test_64_streams_at_once_do_not_go_beyond_a_hard_budget_by_a_token(site: Site) -> None:
    """Each uses all that it may; as many run as there is room for, and the others are told why not, and when."""
    await site.add_node(script=all_words, capacity=64)
    room = 9
    await set_budgets(site, msgspec.structs.replace(BUDGET, most=float(room * AT_MOST + AT_MOST // 2)))
    answers = await asyncio.gather(*(ask(site) for _ in range(64)))
    assert sorted(status for status, _ in answers) == [200] * room + [429] * (64 - room)
    refused = next(text for status, text in answers if status == 429)
    assert '"insufficient_quota"' in refused
    assert "budget of" in refused
    await until(lambda: not site.client.hlen(keys.RESERVED))
    assert held(site) == (room * AT_MOST, 0.0)
    assert sum(each["prompt_tokens"] + each["completion_tokens"] for each in site.usage()) == room * AT_MOST


async def test_what_is_not_used_is_given_back_and_headers_tell_what_is_left(site: Site) -> None:
    await site.add_node()
    await set_budgets(site, msgspec.structs.replace(BUDGET, most=1.5 * AT_MOST))
    for _ in range(3):
        async with site.post(
            "/v1/chat/completions", {"model": "echo", "messages": MESSAGES, "max_tokens": ANSWER}
        ) as response:
            assert response.status == 200
            assert response.headers["ratelimit-policy"] == f'"tokens-day";q={int(1.5 * AT_MOST)};w=86400'
            assert response.headers["ratelimit"].startswith('"tokens-day";r=')
        await until(lambda: not site.client.hlen(keys.RESERVED))
    assert held(site) == (sum(each["prompt_tokens"] + each["completion_tokens"] for each in site.usage()), 0.0)


async def test_an_answer_without_a_bound_gets_one_where_a_hard_budget_counts(site: Site) -> None:
    seen: list[int | None] = []

    async def script(ticket: Ticket) -> AsyncIterator[Event]:
        seen.append(ticket.inference.options.max_tokens)
        async for event in echo(ticket):
            yield event

    await site.add_node(script=script)
    for hard, expected in ((True, 8192), (False, None)):
        await set_budgets(site, msgspec.structs.replace(BUDGET, most=1e6, hard=hard))
        assert (await ask(site, max_tokens=None))[0] == 200
        assert seen[-1] == expected


async def test_what_no_engine_counted_is_settled_at_what_was_reserved(site: Site) -> None:
    async def counts_nothing(ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(text="so many words")
        yield Final("stop", prompt_tokens=0, completion_tokens=0, prompt_ms=1.0, eval_ms=1.0)

    await site.add_node(script=counts_nothing)
    await set_budgets(site, BUDGET)
    assert (await ask(site))[0] == 200
    await until(lambda: not site.client.hlen(keys.RESERVED))
    assert held(site) == (AT_MOST, 0.0)


async def test_budgets_of_key_user_and_team_each_count_for_theirs_alone(site: Site) -> None:
    await site.add_node()
    one = await site.issue_key(site.tenant, made_by="1" * 32, teams=["2" * 32])
    other = await site.issue_key(site.tenant, made_by="3" * 32)
    for subject in ("1" * 32, "2" * 32):
        small = KnownBudget("c" * 32, "team", subject, "tokens", "month", AT_MOST - 1.0)
        await set_budgets(site, small, msgspec.structs.replace(BUDGET, most=1e6))
        assert (await ask(site, key=one))[0] == 429
        assert (await ask(site, key=other))[0] == 200
    soft = KnownBudget("c" * 32, "team", "2" * 32, "tokens", "month", 1.0, hard=False)
    await set_budgets(site, soft)
    assert (await ask(site, key=one))[0] == 200


async def test_money_is_counted_by_the_models_prices(site: Site) -> None:
    await site.add_node(script=all_words)
    money = msgspec.structs.replace(BUDGET, unit="money", most=10.0)
    await set_budgets(site, money, prices={"": Price(9.0), "echo:latest": Price(0.001, 0.01)})
    assert (await ask(site))[0] == 200
    await until(lambda: not site.client.hlen(keys.RESERVED))
    assert held(site)[0] == pytest.approx(PROMPT * 0.001 + ANSWER * 0.01)


async def test_cached_tokens_cost_what_they_cost_and_never_more_of_them_than_the_prompt_has(site: Site) -> None:
    """A node that says of more than the prompt that it had kept them, and one that says nothing of it."""
    said: list[tuple[int, bool]] = [(PROMPT - 5, True), (10 * PROMPT, True), (0, False)]

    async def script(ticket: Ticket) -> AsyncIterator[Event]:
        cached, told = said[len(seen)]
        seen.append(cached)
        yield Final("stop", prompt_tokens=PROMPT, completion_tokens=1, cached_tokens=cached, cache_told=told)

    seen: list[int] = []
    await site.add_node(script=script)
    money = msgspec.structs.replace(BUDGET, unit="money", most=1000.0)
    await set_budgets(site, money, prices={"": Price(1.0, 0.0, 0.0, 0.25)})
    spent: list[float] = []
    kept: list[int] = []
    for _ in said:
        status, text = await ask(site, stream=False)
        assert status == 200
        kept.append(msgspec.json.decode(text)["usage"]["prompt_tokens_details"]["cached_tokens"])
        await until(lambda: not site.client.hlen(keys.RESERVED))
        spent.append(held(site)[0] - sum(spent))
    assert kept == [PROMPT - 5, PROMPT, 0]
    assert spent == [pytest.approx(5 + (PROMPT - 5) * 0.25), pytest.approx(PROMPT * 0.25), pytest.approx(PROMPT)]
    records = [decode_usage(fields[b"r"]) for _, fields in cast("list[Any]", site.client.xrange(keys.USAGE))]
    assert [record.cached_tokens for record in records] == [PROMPT - 5, PROMPT, None]
