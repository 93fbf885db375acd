"""Budgets in Redis: what is reserved and used is never more than a hard one, whoever asks at once and however requests end."""

from __future__ import annotations

import datetime
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
import redis
from hypothesis import given, settings

from cluster.dispatch.gateway_lease import Patience
from cluster.dispatch.request import Request, RequestOutcome, Submission
from cluster.dispatch.script import _names
from cluster.dispatch.settle_dead_gateways import settle_lost
from cluster.dispatch.spending import bounded, most_prompt_tokens, reservations, used
from ollamamax.bus import keys
from ollamamax.contract import Inference, OpenRequest, encode_json
from ollamamax.contract.budgets import PERIODS, KnownBudget, KnownBudgets, Price, rates
from ollamamax.contract.inference import Options
from tests.dispatch.calls import Calls, account, admission
from tests.fakes.state import node_state

NODE, TENANT = "a" * 32, "d" * 32
SHAPE = [(NODE, "a", 1000)]


@pytest.fixture
def call(valkey: redis.Redis) -> Calls:
    valkey.set(keys.node_state(NODE), encode_json(node_state(NODE, capacity=1000)))
    return Calls(valkey)


def budget(
    name: str, most: float, amount: float, *, hard: bool = True, rates: tuple[float, ...] = (1.0, 1.0, 0.0)
) -> Any:
    return (name, "day", most, hard, 0.8, amount, *rates)


def admitted(call: Calls, request: str, *budgets: Any) -> Any:
    return call("admit", admission(request, TENANT, SHAPE, budgets=budgets), b"ticket")


def some_texts(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, "x")


def settled(call: Calls, request: str, spent: tuple[float, ...] | None) -> None:
    call("settle", account(request, TENANT, NODE, used=spent), b"{}")


def held(valkey: redis.Redis, name: str) -> tuple[float, float]:
    """What is used and reserved of a budget, in the one window that there is."""
    found: Any = list(valkey.keys(keys.spent(name, "*")))
    if not found:
        return 0.0, 0.0
    used_, reserved = valkey.hmget(found[-1], "used", "reserved")
    return float(used_ or 0), round(float(reserved or 0), 6)


def test_of_many_who_ask_at_once_only_so_many_are_admitted_as_the_budget_has_room_for(
    call: Calls, valkey: redis.Redis
) -> None:
    """64 streams, each of which may use 100 tokens and uses that or less; none goes beyond by a token."""
    most, chance = 1000.0, random.Random(7)
    start = threading.Barrier(64)

    def stream(number: int) -> int:
        request = f"{number:032x}"
        start.wait()
        if admitted(call, request, budget("b1", most, 100))[0] != b"given":
            return 0
        tokens = chance.choice([100, 100, 37])
        settled(call, request, (30, tokens - 30, 1.0))
        return tokens

    with ThreadPoolExecutor(64) as pool:
        total = sum(pool.map(stream, range(64)))
    spent, reserved = held(valkey, "b1")
    assert (spent, reserved) == (total, 0.0)
    assert total <= most
    # Who asked while others held 100 and used 37 was refused; what these gave back is there for who asks later.
    later = 0
    while (answer := admitted(call, f"f{later:031x}", budget("b1", most, 100)))[0] == b"given":
        settled(call, f"f{later:031x}", (30, 70, 1.0))
        later += 1
    assert most - 100 < total + 100 * later <= most
    assert answer[0] == b"spent"
    assert answer[1] == 1
    assert 0 < float(answer[2]) <= 86_400


def test_each_of_several_budgets_can_refuse_and_then_none_has_anything_reserved(
    call: Calls, valkey: redis.Redis
) -> None:
    of_key, of_tenant = budget("key", 50, 60), budget("tenant", 1000, 60)
    assert admitted(call, "1" * 32, of_tenant, of_key)[:2] == [b"spent", 2]
    assert held(valkey, "tenant") == held(valkey, "key") == (0.0, 0.0)
    assert admitted(call, "2" * 32, of_tenant, budget("key", 50, 60, hard=False))[0] == b"given"
    assert held(valkey, "tenant") == held(valkey, "key") == (0.0, 60.0)
    settled(call, "2" * 32, (20, 10, 0.0))
    assert held(valkey, "tenant") == held(valkey, "key") == (30.0, 0.0)


def test_it_is_taken_once_however_often_a_request_is_tried_and_settled(call: Calls, valkey: redis.Redis) -> None:
    one = budget("b1", 100, 60)
    assert admitted(call, "1" * 32, one)[0] == b"given"
    assert admitted(call, "1" * 32, one)[0] == b"given"
    # A further attempt has another ticket, and the same request.
    again = admission("1" * 32, TENANT, SHAPE, budgets=[one]) | {"ticket": "1" * 32 + ".2"}
    assert call("admit", again, b"ticket")[0] == b"given"
    assert held(valkey, "b1") == (0.0, 60.0)
    for _ in range(2):
        settled(call, "1" * 32, (10, 20, 0.0))
    assert held(valkey, "b1") == (30.0, 0.0)


def test_what_nobody_counted_is_what_was_reserved_and_what_never_ran_is_nothing(
    call: Calls, valkey: redis.Redis
) -> None:
    for request in ("1", "2", "3"):
        assert admitted(call, request * 32, budget("b1", 1000, 60))[0] == b"given"
    settled(call, "1" * 32, None)
    call(
        "withdraw",
        {"request": "2" * 32, "tenant": TENANT, "ticket": "2" * 32 + ".1", "counted": [], "nodes": [], "close": True},
        b"",
    )
    assert held(valkey, "b1") == (60.0, 60.0)
    settled(call, "3" * 32, (5, 5, 2.0))
    assert held(valkey, "b1") == (70.0, 0.0)


def test_of_a_gateway_that_was_killed_it_is_what_the_node_counted_or_else_all_that_was_reserved(
    call: Calls, valkey: redis.Redis
) -> None:
    gateway, now = "9" * 32, time.time()
    for request in ("1" * 32, "2" * 32):
        opened = OpenRequest(
            **some_texts("key", "model", "version", "api"),
            request=request,
            gateway=gateway,
            tenant=TENANT,
            trace="c" * 32,
            received_at=now,
            admitted_at=now,
        )
        facts: dict[str, Any] = {
            "gateway": gateway,
            "open": encode_json(opened)[1:].decode(),
            "budgets": [budget("b1", 1000, 60)],
        }
        assert call("admit", admission(request, TENANT, SHAPE, **facts), b"ticket")[0] == b"given"
    valkey.sadd(keys.GATEWAYS, gateway)
    valkey.delete(keys.node_state(NODE))
    counted = b'{"prompt_tokens": 4, "completion_tokens": 6, "outcome": "cancelled"}'
    valkey.xadd(keys.node_done(NODE), {"t": "1" * 32 + ".1", "r": counted})
    for expected in (2, 0):
        assert settle_lost(valkey, Patience(apart=0, lapsed=0, calm=0)) == expected
        assert held(valkey, "b1") == (70.0, 0.0)


def test_a_request_keeps_the_prices_that_it_began_with(call: Calls, valkey: redis.Redis) -> None:
    assert admitted(call, "1" * 32, budget("b1", 10, 5, rates=(0.001, 0.002, 0.1)))[0] == b"given"
    settled(call, "1" * 32, (100, 50, 2.0))
    assert held(valkey, "b1")[0] == pytest.approx(0.1 + 0.1 + 0.2)


def test_it_is_told_once_that_a_budget_is_nearly_spent_spent_and_refuses(call: Calls, valkey: redis.Redis) -> None:
    for number in range(12):
        if admitted(call, f"{number:032x}", budget("b1", 100, 10))[0] == b"given":
            settled(call, f"{number:032x}", (5, 5, 0.0))
    entries: Any = valkey.xrange(keys.BUDGETS_TOLD)
    assert [fields[b"what"] for _, fields in entries] == [b"warned", b"spent", b"refused"]


def test_what_redis_lost_it_is_told_again_and_never_less_than_it_knows(call: Calls, valkey: redis.Redis) -> None:
    assert call("balance", {"budgets": [["b1", "month", 500.0]]})[0][0] == b"500"
    assert call("balance", {"budgets": [["b1", "month", 20.0]]})[0][0] == b"500"
    one = ("b1", "month", 510.0, True, 0.8, 20.0, 1.0, 1.0, 0.0)
    assert admitted(call, "1" * 32, one)[0] == b"spent"
    valkey.flushall()
    assert call("balance", {"budgets": [["b1", "month", 505.0]]})[0][0] == b"505"


@settings(max_examples=60, deadline=None)
@given(st.integers(31_536_000, 7_258_118_399), st.sampled_from(PERIODS))
def test_windows_begin_and_end_as_the_calendar_says(at: int, period: str) -> None:
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    text = _names() + resources.files("cluster.dispatch").joinpath("budgets.lua").read_text()
    answer: Any = client.eval(text + "\nreturn { window(ARGV[1], tonumber(ARGV[2])) }", 0, period, at)
    first, after = answer
    day = datetime.datetime.fromtimestamp(at, datetime.UTC).date()
    expected = {
        "day": (day, day + datetime.timedelta(days=1)),
        "week": (day - datetime.timedelta(days=day.weekday()), day + datetime.timedelta(days=7 - day.weekday())),
        "month": (day.replace(day=1), (day.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)),
    }[period]
    epoch = datetime.date(1970, 1, 1)
    assert (first, after) == ((expected[0] - epoch).days, (expected[1] - epoch).days)


# What is asked of them.

DAILY = KnownBudget("b" * 32, "tenant", "", "tokens", "day", 1e6)


def request_of(inference: Inference, *budgets: KnownBudget, price: Price = Price()) -> Request:  # noqa: B008 - frozen
    asked = Submission(
        **some_texts("tenant", "key", "model", "version", "api", "traceparent", "trace"),
        received_at=0.0,
        deadline=100.0,
        allowed=100.0,
        inference=inference,
        budgets=budgets,
        price=price,
    )
    return Request.of("r" * 32, asked)


texts = st.text(max_size=60)
parts = st.one_of(texts, st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=3))
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": parts}), max_size=4)


@given(messages, texts, st.lists(texts, max_size=3), st.sampled_from(["chat", "completion", "embed", "rerank"]))
def test_a_prompt_never_has_more_tokens_than_are_reserved(
    said: list[dict[str, Any]], prompt: str, inputs: list[str], kind: Any
) -> None:
    """Were each byte a token, and a few more for each message."""
    inference = Inference(kind=kind, messages=said, prompt=prompt, inputs=inputs)
    least = len(prompt.encode()) + sum(len(each.encode()) + 4 for each in inputs)
    for message in said:
        content = message["content"]
        some = [content] if isinstance(content, str) else [part["text"] for part in content]
        least += sum(len(each.encode()) for each in some) + 8
    assert most_prompt_tokens(inference) >= least


@pytest.mark.parametrize(
    ("asked", "num_ctx", "expected"), [(None, None, 8192), (-1, 2048, 2048), (5, 2048, 5), (0, 9, 0)]
)
def test_an_answer_that_counts_has_a_bound(asked: int | None, num_ctx: int | None, expected: int) -> None:
    inference = Inference(kind="chat", options=Options(max_tokens=asked))
    assert bounded(inference, num_ctx).options.max_tokens == expected
    assert bounded(Inference(kind="embed"), num_ctx).options.max_tokens is None


def test_each_unit_is_reserved_at_most_and_counted_as_used() -> None:
    units = ("tokens", "prompt_tokens", "completion_tokens", "gpu_seconds", "money")
    some = [msgspec.structs.replace(DAILY, unit=unit) for unit in units]
    inference = Inference(kind="completion", prompt="x" * 100, options=Options(max_tokens=40))
    request = request_of(inference, *some, price=Price(0.5, 2.0, 1.0))
    prompt = most_prompt_tokens(inference)
    amounts = [each[5] for each in reservations(request, 90.0)]
    assert amounts == [prompt + 40, prompt, 40, 10.0, prompt * 0.5 + 80 + 10]
    request.prompt_tokens, request.completion_tokens = 30, 20
    assert used(request, 95.0) == (30, 20, 0.0, 0)
    request.cached_tokens = 40
    assert used(request, 95.0) == (30, 20, 0.0, 30)
    request.prompt_tokens = request.completion_tokens = 0
    assert used(request, 95.0) == (0, 0, 0.0, 0)
    request.ended = RequestOutcome("ok", "", 200)
    assert used(request, 95.0) is None


def test_tokens_that_were_kept_take_less_money_and_are_reserved_as_if_they_were_not(
    call: Calls, valkey: redis.Redis
) -> None:
    budgets = [msgspec.structs.replace(DAILY, id=unit, unit=unit) for unit in ("tokens", "money")]
    request = request_of(Inference(kind="embed", inputs=["x"]), *budgets, price=Price(0.5, 2.0, 0.0, 0.125))
    prompt = most_prompt_tokens(request.asked.inference)
    some = reservations(request, 90.0)
    assert [each[5] for each in some] == [prompt, prompt * 0.5]
    assert admitted(call, "1" * 32, *[(*each[:2], 1000.0, *each[3:]) for each in some])[0] == b"given"
    settled(call, "1" * 32, (30, 20, 1.0, 10))
    assert held(valkey, "tokens") == (50.0, 0.0)
    assert held(valkey, "money") == (20 * 0.5 + 10 * 0.125 + 40, 0.0)
    # A price above that of other tokens takes no more, and where it is left out all cost the same.
    assert rates("money", Price(0.5, 2.0, 0.0, 0.75)) == rates("money", Price(0.5, 2.0)) == (0.5, 2.0, 0.0, 0.0)


def test_a_request_counts_in_the_budgets_of_its_key_its_user_their_teams_and_the_tenant() -> None:
    made = [msgspec.structs.replace(DAILY, id=name, subject=name) for name in ("", "key", "user", "t1", "t2", "other")]
    known = KnownBudgets(tuple(made), {"": Price(1.0), "m:1": Price(2.0)})
    assert [each.id for each in known.that_count(key="key", user="user", teams=["t1"])] == ["", "key", "user", "t1"]
    assert [each.id for each in known.that_count(key="k2", user="", teams=[])] == [""]
    assert (known.price_of("m:1").prompt_token, known.price_of("x:1").prompt_token) == (2.0, 1.0)
