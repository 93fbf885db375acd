"""What is killed, stopped or away in the middle of a batch: no line is lost, and none is answered twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from channels.db import database_sync_to_async
from django.db import OperationalError

from ollamamax.batches.actions import bounded, lease, progress
from ollamamax.batches.models import Answer, Batch
from ollamamax.batches.names import BATCH, id_of
from ollamamax.batches.queries.batch import BatchAnswer
from ollamamax.bus import publication, regions
from ollamamax.bus.database import in_database_at_last
from ollamamax.contract import Ticket
from ollamamax.embedded import valkey as embedded
from ollamamax.identity.scope import every_tenant
from tests.batches.conftest import House, chat, rows, text_of
from tests.directories import publish_empty
from tests.fakes.node import echo
from tests.gateway.conftest import publish_model
from tests.patience import LONG
from tests.servers import free_port

LINES = 80


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[list[embedded.TemporaryValkey]]:
    """A server that a test may kill; the last of the list runs."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    servers = [embedded.TemporaryValkey(folder, free_port())]
    yield servers
    servers[-1].stop()


@pytest.fixture
def redis_url(own_valkey: list[embedded.TemporaryValkey]) -> str:
    return own_valkey[0].url


class Halfway:
    """A node's script that answers half of the lines and the others once it is let: however slow the machine, the batch is not over before its test is."""

    def __init__(self) -> None:
        self.begun = 0
        self.rest = asyncio.Event()

    async def __call__(self, ticket: Ticket) -> Any:
        self.begun += 1
        if self.begun > LINES // 2:
            await self.rest.wait()
        async for event in echo(ticket):
            yield event


async def reach(house: House, name: str, completed: int) -> None:
    async with asyncio.timeout(LONG):
        while (await house.batch(name)).request_counts.completed < completed:
            await asyncio.sleep(0.05)


async def check_whole(house: House, name: str) -> None:
    done = await house.ended(name)
    assert done.status == "completed", done
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (LINES, LINES, 0)
    output = await house.lines(done.output_file_id)
    assert [line["custom_id"] for line in output] == [f"r{number}" for number in range(LINES)]
    assert [text_of(line) for line in output] == [f"line {number}" for number in range(LINES)]
    assert await rows(lambda: Answer.objects.filter(batch=id_of(name, BATCH)).count()) == 0


async def test_a_runner_killed_midway_is_replaced_by_the_next(house: House) -> None:
    # Room for what the dead one had: unlike a real node, this one does not note how tickets ended, so their slots stay taken.
    halfway = Halfway()
    node = await house.add_node(halfway, capacity=8)
    first = house.start_process()
    name = await house.order([chat(number) for number in range(LINES)])
    await reach(house, name, 15)
    first.kill()
    first.wait()
    # What it had sent to be committed is committed yet.
    async with asyncio.timeout(LONG):
        while (counted := await rows(Answer.objects.count)) != (await house.batch(name)).request_counts.completed:
            await asyncio.sleep(0.05)
    assert 15 <= counted < LINES
    unstored = len(node.tickets) - counted
    halfway.rest.set()
    house.start_process()
    await check_whole(house, name)
    # What was asked and not stored when it died was asked again; nothing else was.
    assert LINES <= len(node.tickets) <= LINES + unstored + 4, "and what was on its way to the node"


async def test_a_runner_that_is_told_to_stop_hands_its_batch_over_at_once(house: House) -> None:
    halfway = Halfway()
    node = await house.add_node(halfway)
    first = house.start_process()
    name = await house.order([chat(number) for number in range(LINES)])
    await reach(house, name, 10)
    first.send_signal(signal.SIGTERM)
    halfway.rest.set()
    assert await asyncio.to_thread(first.wait, LONG) == 0
    assert await rows(lambda: Batch.objects.get().runner) == ""
    await house.add_runner()
    await check_whole(house, name)
    assert len(node.tickets) == LINES


async def test_a_runner_that_stood_still_writes_nothing_once_another_has_its_batch(house: House) -> None:
    halfway = Halfway()
    await house.add_node(halfway, capacity=8)
    first = house.start_process()
    name = await house.order([chat(number) for number in range(LINES)])
    await reach(house, name, 10)
    first.send_signal(signal.SIGSTOP)
    halfway.rest.set()
    held = await rows(lambda: Batch.objects.get().runner)
    await house.add_runner()
    async with asyncio.timeout(LONG):
        while await rows(lambda: Batch.objects.get().runner) == held:
            await asyncio.sleep(0.1)
    first.send_signal(signal.SIGCONT)
    await check_whole(house, name)
    assert first.poll() is None


async def test_redis_lost_and_back_midway_loses_nothing(
    house: House, own_valkey: list[embedded.TemporaryValkey]
) -> None:
    halfway = Halfway()
    await house.add_node(halfway)
    await house.add_runner()
    name = await house.order([chat(number) for number in range(LINES)])
    await reach(house, name, 15)
    port = int(own_valkey[0].url.rpartition(":")[2].partition("/")[0])
    own_valkey[0].process.kill()
    own_valkey[0].process.wait()
    before = (await house.batch(name)).request_counts.completed
    halfway.rest.set()
    await asyncio.sleep(2)
    assert (await house.batch(name)).status == "in_progress"
    folder = house.home / "valkey-again"
    folder.mkdir()
    own_valkey.append(embedded.TemporaryValkey(folder, port))
    # It came back empty. This is what the controller's loops and a node's reconnection do.
    publish_empty(house.valkey, but=("keys",))
    await database_sync_to_async(publication.repair, thread_sensitive=False)(
        regions.Region("", house.redis_url), "keys"
    )
    publish_model(house.valkey, house.owner.tenant.id.hex)
    await house.add_node()
    assert before < LINES
    await check_whole(house, name)


async def test_several_runners_share_several_batches(house: House) -> None:
    node = await house.add_node(capacity=8)
    for _ in range(3):
        await house.add_runner(concurrency=2)
    names = [await house.order([chat(number) for number in range(LINES)]) for _ in range(4)]
    for name in names:
        await check_whole(house, name)
    assert len(node.tickets) == 4 * LINES


async def test_a_claim_is_one_runners_and_its_writes_are_refused_afterwards(house: House) -> None:
    await house.order([chat(0)])
    claims = await asyncio.gather(*(rows(partial(lease.claim_batch, f"runner-{number}")) for number in range(6)))
    assert len([claim for claim in claims if claim is not None]) == 1
    batch = await rows(Batch.objects.get)
    assert await rows(lambda: lease.renew_leases("another", [batch.id])) == {}
    assert list(await rows(lambda: lease.renew_leases(batch.runner, [batch.id]))) == [batch.id]
    await rows(lambda: progress.begin(batch, batch.runner, 2))
    await rows(lambda: progress.add_answers(batch, batch.runner, [BatchAnswer(1, True, b"{}")]))
    for write in (
        lambda: progress.begin_finalizing(batch, "another"),
        lambda: progress.add_answers(batch, "another", [BatchAnswer(2, True, b"{}")]),
        lambda: progress.finish(batch, "another", Batch.Status.COMPLETED),
    ):
        with pytest.raises(progress.LeaseLost):
            await rows(write)
    assert await rows(lambda: (Batch.objects.get().completed, Answer.objects.count())) == (1, 1)


async def test_a_runner_that_stands_still_in_a_transaction_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.order([chat(0)])
    await rows(lambda: lease.claim_batch("frozen"))
    monkeypatch.setattr(bounded, "SECONDS", 1)

    totals: list[int] = []

    def freeze_once() -> None:
        with every_tenant(), bounded.bounded():
            totals.append(Batch.objects.get().total)
            Batch.objects.update(total=7)
            if len(totals) == 1:
                time.sleep(3)

    await in_database_at_last(freeze_once)
    assert totals == [0, 0]  # the first was undone, and tried again
    assert await rows(lambda: Batch.objects.get().total) == 7


async def test_a_write_that_is_repeated_counts_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the connection broke after the commit and before its answer."""
    original = progress.add_answers
    broken: list[bool] = []

    def breaks_once(*args: Any) -> None:
        original(*args)
        if not broken:
            broken.append(True)
            raise OperationalError("the connection was lost")

    monkeypatch.setattr(progress, "add_answers", breaks_once)
    await house.add_node()
    await house.add_runner()
    name = await house.order([chat(number) for number in range(LINES)])
    await check_whole(house, name)
    assert broken


async def test_postgres_away_is_said_in_openais_form(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    file = await house.upload([chat(0)])
    # New connections are made in other threads than this test's: they find nobody at this port.
    monkeypatch.setitem(connection.settings_dict, "PORT", str(free_port()))
    client = house.client()
    for call in (client.batches.list(), client.files.list(), client.files.retrieve(file)):
        with pytest.raises(openai.InternalServerError) as away:
            await call
        assert away.value.status_code == 503
        assert away.value.code == "unavailable"
        assert away.value.response.headers["retry-after"] == "5"
