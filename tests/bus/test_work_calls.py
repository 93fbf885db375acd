"""Calls for work, on a real Valkey and Postgres."""

from __future__ import annotations

import asyncio

import pytest
import redis
from channels.db import database_sync_to_async
from django.db import transaction

from ollamamax.bus import keys
from ollamamax.bus.work_calls import WorkCalls, call_on_commit
from tests.patience import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
LONG = 3600.0


async def order(kind: str, *, commits: bool = True) -> None:
    def commit() -> None:
        with transaction.atomic(durable=True):
            call_on_commit(kind)
            transaction.set_rollback(not commits)

    await database_sync_to_async(commit)()


async def test_who_waits_hears_of_what_was_committed_in_any_process_and_of_its_own_kind_alone(
    valkey: redis.Redis, redis_url: str
) -> None:
    async with WorkCalls(redis_url) as first, WorkCalls(redis_url) as second:
        await until(lambda: dict(valkey.pubsub_numsub(keys.WORK_CALLS))[keys.WORK_CALLS.encode()] == 2)
        for each in (first, second):
            await each.wait("a", 0.01)  # what it was called for when it began to listen
            await each.wait("b", 0.01)
        waiting = [asyncio.create_task(each.wait("a", LONG)) for each in (first, second)]
        other = asyncio.create_task(first.wait("b", LONG))
        await order("a", commits=False)
        await order("nobody's")
        valkey.publish(keys.WORK_CALLS, b"\xff")
        done, _ = await asyncio.wait([*waiting, other], timeout=0.2)
        assert not done
        await order("a")
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert not other.done()
        other.cancel()


async def test_a_call_that_comes_while_nobody_waits_is_kept_and_none_is_needed_to_look_again(redis_url: str) -> None:
    calls = WorkCalls(redis_url)  # one that hears nothing
    calls.call("a")
    await calls.wait("a", LONG)
    began = asyncio.get_running_loop().time()
    await calls.wait("a", 0.05)
    assert asyncio.get_running_loop().time() - began >= 0.04


async def test_after_a_broken_connection_everybody_looks_for_what_was_called_meanwhile(
    valkey: redis.Redis, redis_url: str
) -> None:
    async with WorkCalls(redis_url) as calls:
        await until(lambda: dict(valkey.pubsub_numsub(keys.WORK_CALLS))[keys.WORK_CALLS.encode()] == 1)
        await calls.wait("a", 0.01)
        waiting = asyncio.create_task(calls.wait("a", LONG))
        await asyncio.sleep(0)
        valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.wait_for(waiting, 10)
