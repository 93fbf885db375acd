"""When keys were last used: told by the gateways in Redis, kept in Postgres."""

from __future__ import annotations

import math
import time
import uuid

import redis
from django.db import connection

from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.seldom import Seldom

log = logs.get(__name__)

# Removes what was moved, unless a gateway has written a later time since.
_FORGET = """
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
"""
_UPDATE = """
UPDATE identity_apikey AS key SET last_used_at = to_timestamp(used.at)
FROM unnest(%s::uuid[], %s::float8[]) AS used(id, at)
WHERE key.id = used.id AND (key.last_used_at IS NULL OR key.last_used_at < to_timestamp(used.at))
"""


_noted = Seldom(seconds=60.0)


def note_key_use(key: str) -> None:
    """A key (its id as hex) was used here; told to Redis once a minute at most, and not where that is away."""
    if not _noted(key):
        return
    try:
        regions.own().client.hset(keys.KEYS_USED, key, repr(time.time()))
    except redis.RedisError as error:
        log.warning("key_use_not_noted", error=type(error).__name__)


def move_key_use(client: redis.Redis) -> int:
    """Move times of last use from Redis to Postgres; never backwards, safe to repeat. One query. Returns how many."""
    told: dict[bytes, bytes] = client.hgetall(keys.KEYS_USED)
    if not told:
        return 0
    times: dict[uuid.UUID, float] = {}
    now = time.time()
    for name, value in told.items():
        try:
            seconds = float(value)
            if not 0 < seconds < math.inf:
                raise ValueError
            times[uuid.UUID(name.decode())] = min(seconds, now)
        except ValueError:
            log.warning("key_use_refused", key=name.decode(errors="replace"))
    with every_tenant(), connection.cursor() as cursor:
        cursor.execute(_UPDATE, [list(times), list(times.values())])
        moved: int = cursor.rowcount
    client.eval(_FORGET, 1, keys.KEYS_USED, *(part for pair in told.items() for part in pair))
    return moved
