"""Moves usage records from Redis to Postgres, each exactly once."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, cast

import msgspec
import redis
from django.db import DataError, IntegrityError, transaction

from ollamamax import logs
from ollamamax.bus import keys, shared
from ollamamax.identity.scope import every_tenant
from ollamamax.metering.models import UsageRecord

BATCH = 500
_log = logs.get(__name__)


def write_usage(*, most: int = 20_000) -> int:
    """Insert what waits in the stream, then delete it there. Returns how many records it took from the stream.

    Killed in between, or run twice at once, it inserts the same request ids again, which Postgres ignores. With Postgres
    away it raises and the records stay. A record that Postgres refuses is put aside in the stream `keys.USAGE_REFUSED`.
    Queries: 1 for each 500 records.
    """
    taken = 0
    client = shared.client()
    with every_tenant():
        while taken < most:
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(keys.USAGE, count=BATCH))
            if not entries:
                break
            _write(client, entries)
            client.xdel(keys.USAGE, *[entry for entry, _ in entries])
            taken += len(entries)
    return taken


def _write(client: redis.Redis, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    rows: list[tuple[UsageRecord, dict[bytes, bytes]]] = []
    for _, fields in entries:
        try:
            rows.append((_row(fields[b"r"]), fields))
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            _refuse(client, fields, error)
    try:
        with transaction.atomic(durable=True):
            UsageRecord.objects.bulk_create([row for row, _ in rows], ignore_conflicts=True)
    except (IntegrityError, DataError):
        # One of them is refused: find out which, and keep the others.
        for row, fields in rows:
            try:
                with transaction.atomic(durable=True):
                    UsageRecord.objects.bulk_create([row], ignore_conflicts=True)
            except (IntegrityError, DataError) as error:
                _refuse(client, fields, error)


def _refuse(client: redis.Redis, fields: dict[bytes, bytes], error: Exception) -> None:
    client.xadd(keys.USAGE_REFUSED, cast("dict[Any, Any]", fields), maxlen=10_000)
    _log.error("usage_record_refused", error=str(error))


def _row(data: bytes) -> UsageRecord:
    """The row of a record in the JSON of `cluster.wire.UsageRecord`."""
    values: dict[str, Any] = msgspec.json.decode(data)
    for name in ("request", "tenant", "key", "node"):
        values[name] = uuid.UUID(values[name])
    values["tenant_id"] = values.pop("tenant")
    values["received_at"] = datetime.datetime.fromtimestamp(values["received_at"], datetime.UTC)
    known = {field.attname for field in UsageRecord._meta.concrete_fields}
    return UsageRecord(**{name: value for name, value in values.items() if name in known})
