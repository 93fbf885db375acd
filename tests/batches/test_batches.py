"""`/v1/batches` with the official client: a batch from its file to its output."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from ollamamax.audit.models import AuditRecord
from ollamamax.batches.models import Answer, Batch
from ollamamax.contract import Failure, Final, Ticket
from tests.batches.conftest import House, chat, rows, text_of
from tests.fakes.node import echo
from tests.patience import BUSY, LONG


async def test_a_batch_answers_every_line_in_the_order_of_its_file(house: House) -> None:
    await house.add_node()
    await house.add_runner()
    name = await house.order([chat(number) for number in range(25)], metadata={"for": "a test"})
    done = await house.ended(name)
    assert done.status == "completed"
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (25, 25, 0)
    assert done.error_file_id is None
    assert done.errors is None
    assert done.metadata == {"for": "a test"}
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at < done.expires_at
    output = await house.lines(done.output_file_id)
    assert [line["custom_id"] for line in output] == [f"r{number}" for number in range(25)]
    assert [text_of(line) for line in output] == [f"line {number}" for number in range(25)]
    assert {line["response"]["status_code"] for line in output} == {200}
    assert all(line["error"] is None for line in output)
    assert len({line["id"] for line in output}) == 25
    used = {record["request"]: record for record in house.usage()}
    assert {line["response"]["request_id"] for line in output} == set(used)
    assert {record["key"] for record in used.values()} == {house.key.row.id.hex}
    assert await rows(Answer.objects.count) == 0


async def test_other_endpoints_are_run_too(house: House) -> None:
    async def engine(ticket: Ticket) -> Any:
        if ticket.inference.kind == "embed":
            yield Final("stop", prompt_tokens=2, embeddings=[[1.0, 2.0] for _ in ticket.inference.inputs])
        else:
            async for event in echo(ticket):
                yield event

    await house.add_node(engine)
    await house.add_runner()
    bodies: dict[str, dict[str, Any]] = {
        "/v1/completions": {"prompt": "say it"},
        "/v1/embeddings": {"input": ["a", "b"]},
        "/v1/responses": {"input": "say it"},
    }
    for endpoint, body in bodies.items():
        line = {"custom_id": "one", "method": "POST", "url": endpoint, "body": {"model": "echo"} | body}
        done = await house.ended(await house.order([line], endpoint))
        assert done.status == "completed", (endpoint, done.errors)
        output = await house.lines(done.output_file_id)
        assert output[0]["response"]["status_code"] == 200, output
        assert output[0]["response"]["body"]["object"] in {"text_completion", "list", "response"}


async def test_what_a_request_does_wrong_goes_to_the_error_file(house: House) -> None:
    await house.add_node()
    await house.add_runner()
    lines = [chat(0), chat(1), chat(2)]
    lines[1]["body"]["temperature"] = "hot"
    done = await house.ended(await house.order(lines))
    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 1)
    assert [line["custom_id"] for line in await house.lines(done.output_file_id)] == ["r0", "r2"]
    (wrong,) = await house.lines(done.error_file_id)
    assert wrong["custom_id"] == "r1"
    assert wrong["response"]["status_code"] == 400
    assert wrong["response"]["body"]["error"]["param"] == "temperature"


async def test_a_failure_that_may_pass_is_tried_again(house: House) -> None:
    seen: list[str] = []

    async def moody(ticket: Ticket) -> Any:
        text = str(ticket.inference.messages[-1]["content"])
        seen.append(text)
        if seen.count(text) == 1:
            yield Failure("engine_failed", "The engine broke.", 500)
            return
        async for event in echo(ticket):
            yield event

    await house.add_node(moody)
    await house.add_runner()
    done = await house.ended(await house.order([chat(0), chat(1)]))
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 0)


async def test_a_batch_waits_for_a_node_and_for_room(house: House) -> None:
    await house.add_runner()
    name = await house.order([chat(number) for number in range(6)])
    await asyncio.sleep(1.5)
    waiting = await house.batch(name)
    assert waiting.status == "in_progress"
    assert waiting.request_counts.completed == 0
    await house.add_node(capacity=1)
    done = await house.ended(name)
    assert (done.request_counts.completed, done.request_counts.failed) == (6, 0)


async def test_counts_are_true_while_it_runs(house: House) -> None:
    gate = asyncio.Semaphore(0)

    async def held(ticket: Ticket) -> Any:
        await gate.acquire()
        async for event in echo(ticket):
            yield event

    await house.add_node(held)
    await house.add_runner()
    name = await house.order([chat(number) for number in range(10)])
    for wanted in (3, 7):
        for _ in range(wanted - (await house.batch(name)).request_counts.completed):
            gate.release()
        async with asyncio.timeout(LONG):
            while (found := await house.batch(name)).request_counts.completed < wanted:
                await asyncio.sleep(0.05)
        assert (found.status, found.request_counts.total, found.request_counts.completed) == ("in_progress", 10, wanted)
    for _ in range(3):
        gate.release()
    assert (await house.ended(name)).request_counts.completed == 10


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([chat(0), b"{not json", chat(2)], "invalid_json_line", 2),
        ([chat(0), chat(1), chat(0)], "duplicate_custom_id", 3),
        ([chat(0), chat(1, url="/v1/embeddings")], "mismatched_endpoint", 2),
        ([chat(0, method="GET")], "invalid_method", 1),
        ([chat(0, custom_id="")], "invalid_custom_id", 1),
        ([{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}], "invalid_request", 1),
        ([chat(0, body={"messages": []})], "invalid_request", 1),
        ([chat(0, body={"model": "echo", "stream": True})], "invalid_request", 1),
        ([b'{"custom_id": "\\u0000", "method": "\xff"}'], "invalid_json_line", 1),
        ([chat(0, custom_id="\0"), chat(0, custom_id="\0")], "duplicate_custom_id", 2),
        ([chat(0, text="x" * 60_000)], "line_too_long", 1),
        ([chat(number) for number in range(301)], "too_many_requests", None),
        ([b"", b"  "], "empty_file", None),
    ],
)
async def test_a_file_that_is_no_batch_fails_with_the_line(
    house: House, lines: list[Any], code: str, number: int | None
) -> None:
    await house.add_runner()
    done = await house.ended(await house.order(lines))
    assert done.status == "failed"
    assert done.failed_at is not None
    assert [(error.code, error.line) for error in done.errors.data] == [(code, number)]
    assert done.output_file_id is None
    assert await rows(Answer.objects.count) == 0


async def test_a_cancelled_batch_stops_within_a_second_and_keeps_what_it_has(house: House) -> None:
    done_first = asyncio.Event()

    async def slow(ticket: Ticket) -> Any:
        if ticket.inference.messages[-1]["content"] != "line 0":
            await asyncio.sleep(60)
        async for event in echo(ticket):
            yield event
        done_first.set()

    node = await house.add_node(slow)
    await house.add_runner()
    name = await house.order([chat(number) for number in range(8)])
    async with asyncio.timeout(LONG):
        while (await house.batch(name)).request_counts.completed < 1 or len(node.tickets) < 5:
            await asyncio.sleep(0.05)
    asked = asyncio.get_running_loop().time()
    assert (await house.client().batches.cancel(name)).status == "cancelling"
    async with asyncio.timeout(LONG):
        while len([control for control in node.controls if control.verb == "cancel"]) < 4:
            await asyncio.sleep(0.02)
    assert asyncio.get_running_loop().time() - asked < 1.0 + BUSY
    done = await house.ended(name)
    assert done.status == "cancelled"
    assert [line["custom_id"] for line in await house.lines(done.output_file_id)] == ["r0"]
    rest = await house.lines(done.error_file_id)
    assert {line["error"]["code"] for line in rest} == {"batch_cancelled"}
    assert [line["custom_id"] for line in rest] == [f"r{number}" for number in range(1, 8)]
    with pytest.raises(openai.ConflictError):
        await house.client().batches.cancel(name)


async def test_a_batch_that_nobody_runs_yet_is_cancelled_by_the_first_runner(house: House) -> None:
    name = await house.order([chat(0)])
    await house.client().batches.cancel(name)
    assert (await house.client().batches.cancel(name)).status == "cancelling"
    actions = await rows(lambda: list(AuditRecord.objects.values_list("action", flat=True)))
    assert actions.count("batch.cancel") == 1
    await house.add_runner()
    assert (await house.ended(name)).status == "cancelled"


async def test_a_batch_expires_with_its_window(house: House) -> None:
    await house.add_runner()
    name = await house.order([chat(0), chat(1)], completion_window="1s")
    done = await house.ended(name)
    assert done.status == "expired"
    assert done.expired_at >= done.expires_at
    errors = await house.lines(done.error_file_id)
    assert {line["error"]["code"] for line in errors} <= {"batch_expired"}


async def test_a_revoked_key_stops_its_batches_and_the_request_that_runs(house: House) -> None:
    from channels.db import database_sync_to_async

    from ollamamax.identity.actions.key import revoke_key

    asked: list[str] = []

    async def two_and_no_more(ticket: Ticket) -> Any:
        asked.append(ticket.id)
        if len(asked) > 2:
            await asyncio.sleep(3600)
        async for event in echo(ticket):
            yield event

    node = await house.add_node(two_and_no_more, capacity=1)
    await house.add_runner(concurrency=1)
    other = await database_sync_to_async(_another_key, thread_sensitive=False)(house)
    name = await house.order([chat(number) for number in range(50)])
    async with asyncio.timeout(LONG):
        while (await house.batch(name)).request_counts.completed < 2 or len(asked) < 3:
            await asyncio.sleep(0.05)
    await database_sync_to_async(revoke_key, thread_sensitive=False)(acting=house.owner.acting, key_id=house.key.row.id)
    house.key = other
    done = await house.ended(name)
    assert done.status == "failed"
    assert done.errors.data[0].code == "key_revoked"
    output, errors = await house.lines(done.output_file_id), await house.lines(done.error_file_id)
    assert len(output) == done.request_counts.completed == 2
    assert [control.verb for control in node.controls] == ["cancel"]
    assert len(output) + len(errors) == 50
    assert {line["error"]["code"] for line in errors} == {"key_revoked"}


def _another_key(house: House) -> Any:
    from tests import cast

    return cast.make_key(house.owner, permissions=None)


async def test_keys_that_redis_lost_are_not_taken_for_revoked(house: House) -> None:
    from channels.db import database_sync_to_async

    from ollamamax.bus import publication, regions

    await house.add_node()
    name = await house.order([chat(0)])
    house.valkey.delete("omx:dir:keys")
    await house.add_runner()
    await asyncio.sleep(2.5)
    assert (await house.batch(name)).status == "in_progress"
    await database_sync_to_async(publication.repair, thread_sensitive=False)(
        regions.Region("", house.redis_url), "keys"
    )
    assert (await house.ended(name)).status == "completed"


async def test_what_is_wrong_with_an_order_is_told_at_once(house: House) -> None:
    client = house.client()
    file = await house.upload([chat(0)])
    order: dict[str, Any] = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    for change, param in (
        ({"endpoint": "/v1/models"}, "endpoint"),
        ({"completion_window": "1 day"}, "completion_window"),
        ({"completion_window": "15d"}, "completion_window"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {"zero": "\0"}}, "metadata"),
        ({"extra_body": {"output_expires_after": {"anchor": "created_at", "seconds": 3600}}}, "output_expires_after"),
        ({"extra_body": {"surprise": 1}, "extra_headers": {"x-ollamamax-strict": "1"}}, "surprise"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.batches.create(**(order | change))
        assert refused.value.param == param, change
    for wrong in ("file-" + "0" * 32, "file-nonsense", ""):
        with pytest.raises(openai.NotFoundError):
            await client.batches.create(**(order | {"input_file_id": wrong}))
    assert await rows(Batch.objects.count) == 0


async def test_pages_of_batches_follow_each_other(house: House) -> None:
    file = await house.upload([chat(0)])
    client = house.client()
    made = [
        (await client.batches.create(input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h")).id
        for _ in range(5)
    ]
    first = await client.batches.list(limit=2)
    assert [batch.id for batch in first.data] == made[:2:-1]
    assert first.has_more
    assert [batch.id async for batch in client.batches.list(limit=2)] == made[::-1]
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": "file-x"}):
        with pytest.raises(openai.BadRequestError):
            await client.batches.list(**wrong)


async def test_a_stranger_sees_nothing_of_it(house: House) -> None:
    name = await house.order([chat(0)])
    file = (await house.batch(name)).input_file_id
    stranger = house.client(house.stranger_key)
    for call in (
        stranger.batches.retrieve(name),
        stranger.batches.cancel(name),
        stranger.files.retrieve(file),
        stranger.files.content(file),
        stranger.files.delete(file),
        stranger.batches.create(input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            await call
    assert (await stranger.batches.list()).data == []
    assert (await stranger.files.list()).data == []
    nobody = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="omx_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        await nobody.batches.list()


async def test_a_key_without_the_permission_is_refused(house: House) -> None:
    from channels.db import database_sync_to_async

    from tests import cast

    key = await database_sync_to_async(cast.make_key, thread_sensitive=False)(house.owner, permissions=["model.view"])
    with pytest.raises(openai.PermissionDeniedError):
        await house.client(key).batches.list()


async def test_a_batch_gives_way_to_whoever_waits(house: House) -> None:
    async def slow(ticket: Ticket) -> Any:
        await asyncio.sleep(0.1)
        async for event in echo(ticket):
            yield event

    node = await house.add_node(slow, capacity=1)
    await house.add_runner()
    name = await house.order([chat(number) for number in range(30)])
    async with asyncio.timeout(LONG):
        while len(node.tickets) < 3:
            await asyncio.sleep(0.02)
    client = house.client()
    messages: Any = [{"role": "user", "content": "at once"}]
    await asyncio.gather(*(client.chat.completions.create(model="echo", messages=messages) for _ in range(6)))
    said = [ticket.inference.messages[-1]["content"] for ticket in node.tickets]
    first = said.index("at once")
    assert said[first : first + 6].count("at once") >= 5  # the last may come a moment after the queue was empty
    assert len(said) - said.count("at once") < 30
    done = await house.ended(name)
    assert (done.request_counts.completed, done.request_counts.failed) == (30, 0)
