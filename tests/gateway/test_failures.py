"""What a client sees, and what is recorded, when things go wrong on the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from cluster.dispatch.script import Script
from cluster.fleet import grace
from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Failure, Final, Ticket
from ollamamax.contract.tables import NODES
from ollamamax.identity.keys import parse_key
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.patience import BUSY, until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


async def _endless(ticket: Ticket) -> AsyncIterator[Event]:
    while True:
        yield Delta(text="x", tokens=1)
        await asyncio.sleep(0.01)


async def _silent(ticket: Ticket) -> AsyncIterator[Event]:
    await asyncio.sleep(3600)
    yield Final()


async def _breaks_at_once(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("engine_failed", "the engine broke", 502)


async def _breaks_later(ticket: Ticket) -> AsyncIterator[Event]:
    yield Delta(text="x", tokens=1)
    yield Failure("engine_failed", "the engine broke", 502, None, 5, 1)


async def _unsupported(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("unsupported", "llamacpp cannot do images", 400, "messages")


async def test_a_client_that_leaves_stops_the_node_within_a_second(site: Site) -> None:
    node = await site.add_node(script=_endless)
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        await response.content.readany()
        left = time.monotonic()
    await until(lambda: any(control.verb == "cancel" for control in node.controls))
    assert time.monotonic() - left < 1.0 + BUSY
    await until(lambda: len(site.usage()) == 1)
    record = site.usage()[0]
    assert (record["outcome"], record["error"]) == ("cancelled", "client_gone")
    assert record["completion_tokens"] > 0
    assert record["prompt_tokens"] == 7
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_a_client_that_leaves_before_the_first_token_stops_it_too(site: Site) -> None:
    node = await site.add_node(script=_silent)
    asking = asyncio.create_task(_ask(site))
    await until(lambda: len(node.tickets) == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: any(control.verb == "cancel" for control in node.controls))
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["outcome"] == "cancelled"
    assert site.usage()[0].get("first_token_ms") is None


async def test_a_failure_before_the_first_token_is_tried_elsewhere_unseen(site: Site) -> None:
    await site.add_node(script=_breaks_at_once)
    await site.add_node(script=_breaks_at_once)
    await site.add_node(script=echo)
    async with site.post("/v1/chat/completions", ASK) as response:
        assert response.status == 200
        assert (await response.json())["choices"][0]["message"]["content"] == "one two three"
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["outcome"] == "ok"
    for node in site.nodes:
        assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_when_every_node_fails_the_client_gets_the_engines_error(site: Site) -> None:
    await site.add_node(script=_breaks_at_once)
    async with site.post("/api/chat", ASK) as response:
        assert response.status == 502
        assert await response.json() == {"error": "the engine broke"}
    await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["outcome"], site.usage()[0]["error"]) == ("failed", "engine_failed")


async def test_what_the_engine_cannot_do_is_a_clear_error_and_not_tried_again(site: Site) -> None:
    first = await site.add_node(script=_unsupported)
    second = await site.add_node(script=_unsupported)
    async with site.post("/v1/chat/completions", ASK) as response:
        assert response.status == 400
        error = (await response.json())["error"]
        assert (error["code"], error["param"]) == ("unsupported", "messages")
    assert len(first.tickets) + len(second.tickets) == 1


async def test_a_failure_in_the_middle_ends_the_stream_with_an_error(site: Site) -> None:
    await site.add_node(script=_breaks_later)
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        events = (await response.text()).strip().split("\n\n")
    assert json.loads(events[-1][6:])["error"]["code"] == "engine_failed"
    async with site.post("/api/chat", ASK) as response:
        lines = (await response.text()).splitlines()
    assert json.loads(lines[-1]) == {"error": "the engine broke"}
    await until(lambda: len(site.usage()) == 2)
    assert [(r["outcome"], r["prompt_tokens"], r["completion_tokens"]) for r in site.usage()] == [("failed", 5, 1)] * 2


async def test_a_node_that_dies_before_the_first_token_is_replaced(site: Site) -> None:
    dying = await site.add_node(script=_silent)
    asked = asyncio.create_task(_ask(site))
    await until(lambda: len(dying.tickets) == 1)
    await site.add_node(script=echo)
    await dying.kill()
    status, body = await asked
    assert status == 200
    assert body["message"]["content"] == "one two three"
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["attempts"] == 2


async def _ask(site: Site) -> tuple[int, Any]:
    async with site.post("/api/chat", {**ASK, "stream": False}) as response:
        return response.status, await response.json()


async def test_lost_frames_are_asked_for_again(site: Site) -> None:
    node = await site.add_node()
    node.lose_frames = 3
    async with site.post("/v1/chat/completions", ASK) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == "one two three"
    assert any(control.verb == "resend" and control.seq == 0 for control in node.controls)


async def test_a_lost_last_frame_is_asked_for_again(site: Site) -> None:
    node = await site.add_node()
    node.lose_frames = 99
    async with site.post("/v1/chat/completions", ASK) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == "one two three"


async def test_a_broken_connection_to_redis_loses_no_token(site: Site) -> None:
    async def slow(ticket: Ticket) -> AsyncIterator[Event]:
        for index in range(100):
            yield Delta(text=f"{index} ", tokens=1)
            await asyncio.sleep(0.005)
        yield Final("stop", prompt_tokens=1, completion_tokens=100)

    await site.add_node(script=slow)

    async def cut() -> None:
        await asyncio.sleep(0.2)
        site.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    cutting = asyncio.create_task(cut())
    async with site.post("/v1/chat/completions", ASK) as response:
        text = (await response.json())["choices"][0]["message"]["content"]
    await cutting
    assert text == "".join(f"{index} " for index in range(100))


async def test_a_full_queue_is_429_with_retry_after(site: Site) -> None:
    node = await site.add_node(script=_silent, capacity=1)
    waiting = [asyncio.create_task(_ask(site)) for _ in range(3)]
    await until(lambda: site.client.zcard(keys.WAITING) == 2)
    assert site.client.scard(keys.node_slots(node.node)) == 1
    async with site.post("/v1/chat/completions", ASK) as response:
        assert response.status == 429
        assert int(response.headers["retry-after"]) >= 1
        assert (await response.json())["error"]["code"] == "overloaded"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert site.client.zcard(keys.WAITING) == 0


async def test_without_a_node_the_answer_is_503(site: Site) -> None:
    async with site.post("/api/chat", ASK) as response:
        assert response.status == 503
        assert response.headers["retry-after"]


async def test_a_node_that_is_drained_gets_no_new_requests(site: Site) -> None:
    node = await site.add_node()
    entry = json.dumps({"tenant": site.tenant, "name": "node-0", "schedulable": False}).encode()
    directory.publish(site.client, "nodes", {node.node: entry})
    service = await site.gateway.start()
    await until(lambda: dict(service.directory.items(NODES))[node.node].schedulable is False)
    async with site.post("/api/chat", ASK) as response:
        assert response.status == 503


async def test_a_revoked_key_stops_working_within_a_second(site: Site) -> None:
    parsed = parse_key(site.key)
    assert parsed is not None
    directory.publish(site.client, "keys", {parsed[0]: None})
    revoked = time.monotonic()
    while True:
        async with site.get("/v1/models") as response:
            if response.status == 401:
                break
        assert time.monotonic() - revoked < 1.0 + BUSY
        await asyncio.sleep(0.01)


async def test_a_hundred_at_once_are_each_answered_and_recorded_once(site: Site) -> None:
    await site.add_node(capacity=100)
    await site.add_node(capacity=100)

    async def ask(index: int) -> str:
        body = {**ASK, "messages": [{"role": "user", "content": f"question number {index}"}]}
        async with site.post("/v1/chat/completions", body) as response:
            answer: str = (await response.json())["choices"][0]["message"]["content"]
            return answer

    answers = await asyncio.gather(*[ask(index) for index in range(100)])
    assert answers == [f"question number {index}" for index in range(100)]
    await until(lambda: len(site.usage()) == 100)
    assert len({record["request"] for record in site.usage()}) == 100
    assert site.client.hlen(keys.OPEN) == 0


@pytest.mark.parametrize("patient", [True, False])
async def test_a_lost_answer_to_the_admission_leaves_no_slot_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    """Asked again it is told the same; where there is no time for that, what was given is taken back."""
    node = await site.add_node(script=echo if patient else _silent)
    if not patient:
        monkeypatch.setattr(grace, "SECONDS", 0.0)
    run = Script.run
    cut = True

    async def cut_off(self: Script, *arguments: Any) -> Any:
        nonlocal cut
        answer = await run(self, *arguments)
        if cut:
            cut = False
            raise redis.ConnectionError("the connection broke before the answer came")
        return answer

    monkeypatch.setattr(Script, "run", cut_off)
    async with site.post("/api/chat", ASK) as response:
        assert response.status == (200 if patient else 503)
        await response.read()
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    await until(lambda: site.client.hlen(keys.OPEN) == 0)
    await until(lambda: [record["outcome"] for record in site.usage()] == ["ok" if patient else "refused"])
    assert len(node.tickets) <= 1


async def test_a_gateway_that_stops_leaves_nothing_open(site: Site) -> None:
    node = await site.add_node(script=_endless)
    asking = asyncio.create_task(_ask(site))
    await until(lambda: len(node.tickets) == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: len(site.usage()) == 1)
    await site.gateway.stop()
    assert site.client.hlen(keys.OPEN) == 0
    assert not site.client.keys("omx:gw:*:alive")


async def _says_its_seed(ticket: Ticket) -> AsyncIterator[Event]:
    for word in ("seed ", str(ticket.inference.options.seed)):
        yield Delta(text=word, tokens=1)
        await asyncio.sleep(0.01)
    yield Final(prompt_tokens=5, completion_tokens=2)


async def test_several_answers_are_several_requests(site: Site) -> None:
    await site.add_node(script=_says_its_seed)
    async with site.post("/v1/chat/completions", {**ASK, "n": 3, "seed": 7}) as response:
        answer = await response.json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["seed 7", "seed 8", "seed 9"]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (5, 6)
    body = {**ASK, "n": 3, "seed": 7, "stream": True, "stream_options": {"include_usage": True}}
    async with site.post("/v1/chat/completions", body) as response:
        chunks = [json.loads(line[6:]) for line in (await response.text()).split("\n\n") if line[6:7] == "{"]
    said = ["", "", ""]
    for chunk in chunks[:-1]:
        choice = chunk["choices"][0]
        said[choice["index"]] += choice["delta"].get("content", "")
    assert said == ["seed 7", "seed 8", "seed 9"]
    assert sorted(c["choices"][0]["index"] for c in chunks[:-1] if c["choices"][0]["finish_reason"]) == [0, 1, 2]
    assert chunks[-1]["usage"]["completion_tokens"] == 6
    assert len({chunk["id"] for chunk in chunks}) == 1
    await until(lambda: len(site.usage()) == 6)
    assert len({record["request"] for record in site.usage()}) == 6
    assert {record["outcome"] for record in site.usage()} == {"ok"}


async def test_all_answers_stop_when_the_client_leaves(site: Site) -> None:
    node = await site.add_node(script=_endless)
    async with site.post("/v1/chat/completions", {**ASK, "n": 3, "stream": True}) as response:
        await response.content.readany()
        await until(lambda: len(node.tickets) == 3)
    await until(lambda: len(site.usage()) == 3)
    assert {(record["outcome"], record["error"]) for record in site.usage()} == {("cancelled", "client_gone")}
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_when_one_of_several_fails_the_answer_is_an_error(site: Site) -> None:
    node = await site.add_node(script=_unsupported)
    for stream in (False, True):
        async with site.post("/v1/chat/completions", {**ASK, "n": 2, "stream": stream}) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "unsupported"
    # The one that failed first ended the others, which may have been about to, or not even been admitted.
    await until(lambda: len(site.usage()) >= 2 and not site.client.hlen(keys.OPEN))
    assert {record["outcome"] for record in site.usage()} <= {"failed", "cancelled"}
    await until(lambda: not site.client.scard(keys.node_slots(node.node)))


async def test_several_that_do_not_all_find_a_place_take_none(site: Site) -> None:
    node = await site.add_node(capacity=1)
    async with site.post("/v1/chat/completions", {**ASK, "n": 8}) as response:
        assert response.status == 429
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0 and site.client.hlen(keys.OPEN) == 0)
