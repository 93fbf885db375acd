"""An evaluation runs against the exact version on nodes, at idle priority, and survives what happens to its runner."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction

from ollamamax.contract import Delta, Failure, Final, Ticket
from ollamamax.evaluations.actions.evaluation import cancel_evaluation
from ollamamax.evaluations.actions.lease import claim_evaluation
from ollamamax.evaluations.models import Evaluation
from ollamamax.evaluations.runner import runner
from ollamamax.identity.actions.key import revoke_key
from ollamamax.kernel.errors import Conflict
from tests.batches.conftest import rows
from tests.evaluations.conftest import Desk, exact, says
from tests.fakes.node import echo
from tests.gateway.conftest import VERSION, publish_model
from tests.patience import LONG

pytestmark = pytest.mark.django_db(transaction=True)
State = Evaluation.State


async def answering(ticket: Ticket) -> Any:
    """Embeds a text as the share of its letters a and b, judges by a fixed verdict, and else repeats."""
    asked = ticket.inference
    if asked.kind == "embed":
        vectors = [[float(text.count("a")), float(text.count("b"))] for text in asked.inputs]
        yield Final("stop", embeddings=vectors)
    elif asked.messages[0]["role"] == "system":
        yield Delta(text=json.dumps({"reason": "curt", "grade": 3}), tokens=9)
        yield Final("stop", prompt_tokens=7, completion_tokens=9, prompt_ms=1, eval_ms=90)
    else:
        async for event in echo(ticket):
            yield event


async def test_each_kind_of_check_is_made_of_what_the_version_answered(desk: Desk) -> None:
    node = await desk.house.add_node(answering)
    await desk.add_runner()
    suite = await desk.suite(
        says("forty two", exact("forty two"), {"kind": "regex", "pattern": "^forty"}),
        says('{"age": 3}', {"kind": "json_schema", "schema": {"required": ["name"]}}, name="schema"),
        says("no", {"kind": "judge", "model": "echo", "criteria": "polite"}, name="judged"),
        says("aaab", {"kind": "distance", "expected": "aab", "model": "echo", "most": 0.1}, name="near"),
        {
            "name": "embeds", "kind": "embed", "text": "aaa",
            "checks": [{"kind": "distance", "expected": "aa"}, {"kind": "distance", "expected": "b"}],
        },
    )  # fmt: skip
    ended = await desk.ended(await desk.order(suite))
    assert (ended.state, ended.reason) == (State.COMPLETED, "")
    assert (ended.total, ended.done, ended.passed, ended.score) == (5, 5, 2, 0.4)
    results = await desk.results(ended.pk)
    assert [each.passed for each in results] == [True, False, False, True, False]
    assert results[0].answer == "forty two"
    assert results[0].node == "node-0"
    assert results[1].checks[0]["detail"].startswith("$: 'name'")
    assert results[2].checks == [{"kind": "judge", "passed": False, "detail": "curt", "value": 3.0}]
    assert [each["value"] for each in results[4].checks] == [0.0, 1.0]
    # What chats was timed, by the engine's own count and time; nothing was made up for what was not.
    assert results[0].tokens_per_second == 2 * 1000 / 2.5
    assert results[4].tokens_per_second is None
    assert ended.speed["tokens_per_second"]["count"] == 4
    # All was asked of the version itself, as the key, at the lowest priority.
    first = node.tickets[0]
    assert (first.version, first.inference.options.temperature, first.inference.options.seed) == (VERSION, 0.0, 0)
    usage = desk.house.usage()
    assert {each["key"] for each in usage} == {desk.house.key.row.id.hex}
    assert {each["priority"] for each in usage} == {"low"}


async def test_another_model_never_answers_for_the_version(desk: Desk) -> None:
    """Also where the model has one that stands in for it: what is measured would be another's."""

    asked: list[str] = []

    async def too_long_at_first(ticket: Ticket) -> Any:
        asked.append(ticket.id)
        if len(asked) == 1:
            yield Failure("context_length_exceeded", "the prompt is too long", 400)
            return
        async for event in echo(ticket):
            yield event

    await desk.house.add_node(too_long_at_first)
    tenant = desk.house.owner.tenant.id.hex
    publish_model(desk.house.valkey, tenant, f"echo@{VERSION}", fallbacks=[{"model": "echo:latest"}])
    await desk.add_runner()
    ended = await desk.ended(await desk.order(await desk.suite(says("x", exact("x")))))
    assert ended.state == State.FAILED
    assert "the prompt is too long" in ended.reason
    assert len(asked) == 1
    assert (ended.done, ended.score) == (0, None)


async def test_a_runner_that_dies_is_replaced_and_no_case_is_asked_twice(desk: Desk) -> None:
    held = asyncio.Event()

    async def slow(ticket: Ticket) -> Any:
        if ticket.inference.messages[-1]["content"] == "3" and not held.is_set():
            held.set()
            await asyncio.sleep(600)
        async for event in echo(ticket):
            yield event

    node = await desk.house.add_node(slow)
    process = desk.house.start_process()
    evaluation = await desk.order(await desk.suite(*(says(str(n), exact(str(n))) for n in range(6))))
    async with asyncio.timeout(LONG):
        await held.wait()
    process.kill()
    process.wait()
    assert (await desk.now(evaluation)).done == 3
    await desk.add_runner()
    ended = await desk.ended(evaluation)
    assert (ended.state, ended.passed, ended.score) == (State.COMPLETED, 6, 1.0)
    assert [each.number for each in await desk.results(evaluation)] == list(range(6))
    asked = [ticket.inference.messages[-1]["content"] for ticket in node.tickets]
    assert sorted(asked) == ["0", "1", "2", "3", "3", "4", "5"]


async def test_cancelled_it_stops_and_keeps_what_it_has(desk: Desk) -> None:
    held = asyncio.Event()

    async def stuck(ticket: Ticket) -> Any:
        if ticket.inference.messages[-1]["content"] == "b":
            held.set()
            await asyncio.sleep(600)
        async for event in echo(ticket):
            yield event

    node = await desk.house.add_node(stuck)
    await desk.add_runner()
    suite = await desk.suite(says("a", exact("a")), says("b", exact("b")))
    evaluation = await desk.order(suite)
    with pytest.raises(Conflict, match="already"):
        await desk.order(suite)
    async with asyncio.timeout(30):
        await held.wait()
    cancel = database_sync_to_async(cancel_evaluation, thread_sensitive=False)
    for _ in range(2):
        await cancel(acting=desk.house.owner.acting, evaluation_id=evaluation)
    async with asyncio.timeout(30):
        while not any(control.verb == "cancel" for control in node.controls):
            await asyncio.sleep(0.02)
    now = await desk.now(evaluation)
    assert (now.state, now.done, now.score, now.runner) == (State.CANCELLED, 1, None, "")
    assert len(await desk.results(evaluation)) == 1
    await desk.order(suite)


async def test_without_a_node_it_waits_until_its_time_is_over_and_says_so(desk: Desk) -> None:
    await desk.add_runner()
    evaluation = await desk.order(await desk.suite(says("x", exact("x"))))
    await rows(lambda: Evaluation.objects.filter(pk=evaluation).update(expires_at="2000-01-01T00:00:00Z"))
    ended = await desk.ended(evaluation)
    assert (ended.state, ended.done) == (State.FAILED, 0)
    assert "time" in ended.reason


async def test_a_revoked_key_ends_it(desk: Desk) -> None:
    held = asyncio.Event()

    async def stuck(ticket: Ticket) -> Any:
        held.set()
        await asyncio.sleep(600)
        yield Final("stop")

    await desk.house.add_node(stuck)
    await desk.add_runner()
    evaluation = await desk.order(await desk.suite(says("x", exact("x"))))
    async with asyncio.timeout(30):
        await held.wait()
    revoke = database_sync_to_async(revoke_key, thread_sensitive=False)
    await revoke(acting=desk.house.owner.acting, key_id=desk.house.key.row.id)
    ended = await desk.ended(evaluation)
    assert (ended.state, ended.reason) == (State.FAILED, "The API key that it runs as was revoked or has expired.")


async def test_a_node_that_says_it_took_no_time_measures_no_speed(desk: Desk) -> None:
    async def fast(ticket: Ticket) -> Any:
        yield Delta(text="x", tokens=1)
        yield Final("stop", prompt_tokens=1, completion_tokens=1, prompt_ms=1, eval_ms=1e-320)

    await desk.house.add_node(fast)
    await desk.add_runner()
    ended = await desk.ended(await desk.order(await desk.suite(says("x", exact("x")))))
    assert (ended.state, ended.speed["tokens_per_second"]) == (State.COMPLETED, None)


async def test_a_server_that_is_a_standby_still_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.house.add_node(echo)
    told: list[str] = []

    def at_second(name: str) -> Any:
        if not told:
            told.append(name)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute("UPDATE evaluations_evaluation SET runner = runner")
        return claim_evaluation(name)

    monkeypatch.setattr(f"{runner.__name__}.claim_evaluation", at_second)
    await desk.add_runner()
    ended = await desk.ended(await desk.order(await desk.suite(says("x", exact("x")))))
    assert (ended.state, len(told)) == (State.COMPLETED, 1)


async def test_evaluations_that_wait_for_a_node_keep_no_other_from_running(desk: Desk) -> None:
    """Of a runner that has four at once, two tenants' two each wait for a version that no node has."""
    await desk.add_runner(concurrency=1)
    waiting = await desk.order(await desk.suite(says("x", exact("x"))))
    async with asyncio.timeout(LONG):
        while (await desk.now(waiting)).state != State.RUNNING:
            await asyncio.sleep(0.05)
    other = await desk.order(await desk.suite(says("y", exact("y")), name="other"))
    async with asyncio.timeout(LONG):
        while (await desk.now(other)).state != State.RUNNING:
            await asyncio.sleep(0.05)
