"""Folds the hours that are over from Redis into Postgres, and drops what is too old."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any, cast

import redis
from django.db import transaction

from cluster.models import HistoryRow
from ollamamax.bus import keys
from ollamamax.bus.regions import Region
from ollamamax.contract.history import DAY, HOUR, MINUTE, Entry, fold, pack, unpack
from ollamamax.identity.queries.tenant import known_tenants
from ollamamax.identity.scope import every_tenant

AT_ONCE = 200
AFTER = 120
"""Seconds after the end of an hour until which something of it may still be written."""
HOURS = 25
MINUTES_KEPT = datetime.timedelta(days=8)
HOURS_KEPT = datetime.timedelta(days=367)
_FIELDS = ["tenant", "series", "step", "start", "region"]


def fold_history(
    region: Region, *, now: float, most: int = 5 * AT_ONCE, check: Callable[[], None] = lambda: None
) -> int:
    """Take over at most so many series of hours that are over. Returns how many. Killed and repeated, it writes the same again.

    ``check`` raises when another process does this by now. Raises `RedisError`. Queries: 4 for each `AT_ONCE`.
    """
    client, done = region.client, 0
    last = int(now - AFTER) // HOUR
    for hour in range(last - HOURS, last):
        while done < most:
            series = _some(client, hour)
            if not series:
                break
            _fold_some(client, region.name, hour, series, check)
            done += len(series)
    return done


def drop_old(now: datetime.datetime) -> int:
    """Returns how many rows were dropped. Queries: 2."""
    with every_tenant():
        rows = HistoryRow.objects.filter(step=MINUTE, start__lt=now - MINUTES_KEPT).delete()[0]
        return rows + HistoryRow.objects.filter(step=HOUR, start__lt=now - HOURS_KEPT).delete()[0]


def _some(client: redis.Redis, hour: int) -> dict[bytes, bytes]:
    """About so many series of the hour, with their tenants; none when all were taken over."""
    cursor = 0
    while True:
        cursor, found = cast("Any", client.hscan(keys.history_series(hour), cursor, count=AT_ONCE))
        if found or not cursor:
            return dict(found)


def _fold_some(
    client: redis.Redis, region: str, hour: int, series: dict[bytes, bytes], check: Callable[[], None]
) -> None:
    names = {name.decode("utf-8", "replace"): owner for name, tenant in series.items() if (owner := _owner(tenant))}
    found = cast("list[bytes | None]", client.mget([keys.history(hour, name) for name in names])) if names else []
    start = datetime.datetime.fromtimestamp(hour * HOUR, datetime.UTC)
    day = datetime.datetime.fromtimestamp(hour * HOUR // DAY * DAY, datetime.UTC)
    with every_tenant(), transaction.atomic():
        check()
        known = known_tenants(set(names.values()))
        held = {
            (row.tenant_id, row.series): unpack(bytes(row.packed))
            for row in HistoryRow.objects.filter(series__in=list(names), region=region, step=HOUR, start=day)
        }
        rows = []
        for (name, tenant), data in zip(names.items(), found, strict=True):
            if data is None or tenant not in known:
                continue
            minutes = fold(unpack(data), MINUTE)
            hours: list[Entry] = [each for each in held.get((tenant, name), []) if each.at // HOUR != hour]
            hours += fold(minutes, HOUR)
            for step, begin, entries in ((MINUTE, start, minutes), (HOUR, day, hours)):
                rows.append(
                    HistoryRow(
                        tenant_id=tenant, series=name, region=region, step=step, start=begin, packed=pack(entries)
                    )
                )
        HistoryRow.objects.bulk_create(rows, update_conflicts=True, unique_fields=_FIELDS, update_fields=["packed"])
    with client.pipeline(transaction=False) as pipe:
        for name, data in zip(names, found, strict=True):
            if data is not None:
                # The steps of ten seconds stay in Redis for a day, and take a third of the room from here on.
                pipe.set(keys.history(hour, name), pack(unpack(data)), xx=True, keepttl=True)
        pipe.hdel(keys.history_series(hour), *series)
        pipe.execute()


def _owner(tenant: bytes) -> uuid.UUID | None:
    """``None`` for what is no tenant: it must not keep the other series of its hour from being taken over."""
    try:
        return uuid.UUID(tenant.decode("ascii", "replace"))
    except ValueError:
        return None
