"""The control loops of processes beside each other, on a real Postgres and Valkey."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from ollamamax.bus import keys, leases, regions
from ollamamax.bus.controller import Controller, every_loop
from ollamamax.bus.leases import PostgresLease, RedisLease
from ollamamax.bus.loops import Leader, LeaseOf, Loop, NotLeading, wake
from ollamamax.bus.models import LoopLease
from ollamamax.contract.loop_state import decode_loop_state
from tests.concurrency.test_identity import in_parallel
from tests.patience import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def running(*some: Loop) -> Iterator[Controller]:
    made = Controller(some)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def counting(runs: list[Leader], name: str = "counts", lease: LeaseOf = LeaseOf.REDIS) -> Loop:
    return Loop(name, 0.05, lease, lease is LeaseOf.REDIS, runs.append)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, valkey: redis.Redis) -> None:
    monkeypatch.setattr("ollamamax.bus.controller.RENEW_SECONDS", 0.1)
    for module in ("ollamamax.bus.controller", "ollamamax.bus.leases"):
        monkeypatch.setattr(f"{module}.LEASE_SECONDS", 1.0)


def test_a_slow_loop_delays_no_other_and_one_that_fails_goes_on(valkey: redis.Redis) -> None:
    free = threading.Event()
    runs: list[Leader] = []
    failures: list[Leader] = []
    slow = Loop("slow", 0.05, LeaseOf.REDIS, True, lambda _: free.wait(20))

    def fail(leader: Leader) -> None:
        failures.append(leader)
        raise ZeroDivisionError

    with running(slow, Loop("fails", 0.05, LeaseOf.POSTGRES, False, fail), counting(runs)):
        wait_for(lambda: len(runs) >= 5 and len(failures) >= 5)
        free.set()
    told = {state.loop: state for state in map(decode_loop_state, valkey.hgetall(keys.LOOPS).values())}
    assert set(told) == {"slow", "fails", "counts"}
    assert (told["fails"].error, told["counts"].error) == ("ZeroDivisionError", "")
    assert told["slow"].took_ms > told["counts"].took_ms


def test_a_loop_that_is_woken_runs_before_it_is_due_and_nothing_that_came_meanwhile_is_missed() -> None:
    begun, may_end = threading.Event(), threading.Event()
    runs: list[str] = []

    def works(_: Leader) -> None:
        runs.append("works")
        begun.set()
        assert may_end.wait(20)

    def wakes_itself(_: Leader) -> None:
        runs.append("itself")
        if runs.count("itself") < 3:
            wake("itself")

    seldom = Loop("seldom", 3600.0, LeaseOf.REDIS, True, works, "changes")
    itself = Loop("itself", 3600.0, LeaseOf.POSTGRES, False, wakes_itself)
    other = Loop("other", 3600.0, LeaseOf.REDIS, True, lambda _: runs.append("other"))
    with running(seldom, itself, other):
        assert begun.wait(20)
        wake("changes")  # while it runs: whatever it has read by now, it reads again
        may_end.set()
        wait_for(lambda: runs.count("works") >= 2 and runs.count("itself") == 3)
        wake("seldom")
        wait_for(lambda: runs.count("works") >= 3)
    assert runs.count("works") <= 3, "the stop wakes nobody"
    assert runs.count("other") == 1
    wake("changes")  # nobody is there any more


@pytest.mark.parametrize("lease", [LeaseOf.REDIS, LeaseOf.POSTGRES])
def test_one_process_leads_and_the_next_one_takes_over_under_a_higher_number(lease: LeaseOf) -> None:
    first: list[Leader] = []
    second: list[Leader] = []
    leading = Controller([counting(first, lease=lease)])
    leading.start()
    wait_for(lambda: len(first) >= 2)
    with running(counting(second, lease=lease)):
        before = len(first)
        wait_for(lambda: len(first) >= before + 5)
        assert second == []
        leading.stop()
        wait_for(lambda: second)
    assert {leader.fence for leader in second} == {first[0].fence + 1}


def test_loops_of_redis_go_on_while_postgres_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: PostgresLease) -> int:
        raise OperationalError("away")

    monkeypatch.setattr(leases.PostgresLease, "take", away)
    in_redis: list[Leader] = []
    in_postgres: list[Leader] = []
    with running(counting(in_redis), counting(in_postgres, "writes", LeaseOf.POSTGRES)):
        wait_for(lambda: len(in_redis) >= 5)
    assert in_postgres == []


def test_who_leads_no_more_is_told_before_it_writes(valkey: redis.Redis) -> None:
    for first, second in (
        (RedisLease(valkey, "a"), RedisLease(valkey, "b")),
        (PostgresLease("a"), PostgresLease("b")),
    ):
        fence = first.take()
        assert fence == first.take(), "renewed"
        assert second.take() == 0
        first.check(fence)
        LoopLease.objects.update(until=Now())
        valkey.delete(keys.LOOPS_LEASE)
        assert second.take() == fence + 1
        with pytest.raises(NotLeading):
            first.check(fence)
        second.check(fence + 1)


def test_nobody_becomes_the_leader_amid_a_transaction_of_the_former_one() -> None:
    fence = PostgresLease("a").take()
    checked, committed = threading.Event(), threading.Event()
    taken: list[int] = []

    def write() -> None:
        with transaction.atomic():
            PostgresLease("a").check(fence)
            checked.set()
            assert committed.wait(10)

    def follow() -> None:
        assert checked.wait(10)
        LoopLease.objects.update(until=Now())
        taken.append(PostgresLease("b").take())
        committed.set()
        wait_for(lambda: PostgresLease("b").take())
        taken.append(PostgresLease("b").take())

    assert in_parallel(write, follow) == [None, None]
    assert (taken[0], taken[-1]) == (0, fence + 1)
    assert connection.in_atomic_block is False


def test_every_loop_of_the_product_has_one_name_and_one_lease() -> None:
    found = {each.name: each for each in every_loop()}
    assert {"bus.publish", "cluster.guard_nodes", "models_registry.reconcile_replicas", "metering.write_usage"} <= set(
        found
    )
    for name, each in found.items():
        assert each.each_region or each.lease is not LeaseOf.REDIS
        assert name.partition(".")[0] in each.run.__module__
    assert regions.own() in regions.every()
