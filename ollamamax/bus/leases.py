"""Who leads the control loops: one lease in each region's Redis, and one in Postgres, each with a number that only grows."""

from __future__ import annotations

import datetime
from typing import Protocol, cast

import redis
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from ollamamax.bus import keys
from ollamamax.bus.loops import NotLeading
from ollamamax.bus.models import LoopLease

LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.0
_TAKE = """
-- KEYS: the lease, its number. ARGV: who asks, milliseconds. Returns the number under which it leads, or 0.
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or '0')
elseif holder then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
"""
_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class LeaderLease(Protocol):
    def take(self) -> int:
        """Become the leader, or stay it: the number of this leadership, or 0 when another process leads."""

    def check(self, fence: int) -> None:
        """Raises `NotLeading` when the leadership of this number is over."""

    def give_back(self) -> None:
        """Let another process lead at once."""


class RedisLease:
    """``holder`` is this process. Every call raises `RedisError` when Redis is away."""

    def __init__(self, client: redis.Redis, holder: str) -> None:
        self._client = client
        self._holder = holder

    def take(self) -> int:
        names = (keys.LOOPS_LEASE, keys.LOOPS_FENCE)
        return int(cast("int", self._client.eval(_TAKE, 2, *names, self._holder, str(int(LEASE_SECONDS * 1000)))))

    def check(self, fence: int) -> None:
        holder, held = cast("list[bytes | None]", self._client.mget(keys.LOOPS_LEASE, keys.LOOPS_FENCE))
        if holder != self._holder.encode() or int(held or 0) != fence:
            raise NotLeading

    def give_back(self) -> None:
        self._client.eval(_GIVE_BACK, 1, keys.LOOPS_LEASE, self._holder)


class PostgresLease:
    """Every call raises `django.db.Error` when Postgres is away."""

    NAME = "loops"

    def __init__(self, holder: str) -> None:
        self._holder = holder

    def take(self) -> int:
        until = Now() + datetime.timedelta(seconds=LEASE_SECONDS)
        with transaction.atomic():
            LoopLease.objects.bulk_create([LoopLease(name=self.NAME)], ignore_conflicts=True)
            mine = LoopLease.objects.filter(name=self.NAME, holder=self._holder, until__gt=Now())
            if not mine.update(until=until):
                if not _nobody_writes():
                    return 0
                free = LoopLease.objects.filter(Q(until=None) | Q(until__lte=Now()), name=self.NAME)
                if not free.update(holder=self._holder, until=until, fence=F("fence") + 1):
                    return 0
            return LoopLease.objects.get(name=self.NAME).fence

    def check(self, fence: int) -> None:
        if connection.in_atomic_block:
            _write()
        if not LoopLease.objects.filter(name=self.NAME, holder=self._holder, fence=fence).exists():
            raise NotLeading

    def give_back(self) -> None:
        LoopLease.objects.filter(name=self.NAME, holder=self._holder).update(until=None)


_WRITES = "omx:loops"


def _write() -> None:
    """Until the transaction ends nobody becomes the leader; several loops may write at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [_WRITES])


def _nobody_writes() -> bool:
    """Whether no loop of a former leader is in the midst of a transaction; none begins before this one ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_WRITES])
        return bool(cursor.fetchone()[0])
