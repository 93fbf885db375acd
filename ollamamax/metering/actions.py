"""Moves usage records from Redis to Postgres, each exactly once."""

from __future__ import annotations

from typing import Any, cast

import redis
from django.db import DataError, IntegrityError, connection, transaction

from ollamamax import logs
from ollamamax.bus import keys, shared

BATCH = 1000
_SEPARATOR = "\x1e"
"""Between records (RFC 7464). No JSON text can hold it, so that what is wrong in one record stays in that record."""
# Fields of a record that are not named here it ignores.
_INSERT = """
INSERT INTO metering_usagerecord (
  request, tenant_id, key, model, version, node, node_name, api, trace, received_at, prompt_tokens, completion_tokens,
  queue_ms, first_token_ms, duration_ms, outcome, error, attempts, priority, route
)
SELECT
  request, tenant, key, model, version, NULLIF(node, '')::uuid, node_name, api, trace, to_timestamp(received_at), prompt_tokens, completion_tokens,
  queue_ms, first_token_ms, duration_ms, outcome, COALESCE(error, ''), COALESCE(attempts, 1), COALESCE(priority, 'normal'), route
FROM string_to_table(%s, %s) AS entry (record), jsonb_to_record(record::jsonb) AS field (
  request uuid, tenant uuid, key uuid, model text, version text, node text, node_name text, api text, trace text,
  received_at float8, prompt_tokens bigint, completion_tokens bigint,
  queue_ms float8, first_token_ms float8, duration_ms float8, outcome text, error text, attempts smallint, priority text, route jsonb
)
ON CONFLICT (request) DO NOTHING
"""
_Entry = tuple[bytes, dict[bytes, bytes]]
_log = logs.get(__name__)


def write_usage(*, most: int = 20_000) -> int:
    """Insert what waits in the stream, then delete it there. Returns how many records it took from the stream.

    Killed in between, or run twice at once, it inserts the same request ids again, which Postgres ignores. With Postgres
    away it raises and the records stay. A record that Postgres refuses is put aside in the stream `keys.USAGE_REFUSED`.
    Queries: 1 for each 1000 records; some 20 more for each one that is refused.
    """
    taken = 0
    client = shared.client()
    while taken < most:
        entries = cast("list[_Entry]", client.xrange(keys.USAGE, count=BATCH))
        if entries:
            _write(client, entries)
            client.xdel(keys.USAGE, *[entry for entry, _ in entries])
        taken += len(entries)
        if len(entries) < BATCH:
            break
    return taken


def _write(client: redis.Redis, entries: list[_Entry]) -> None:
    try:
        _insert([fields[b"r"] for _, fields in entries])
    except (KeyError, ValueError, IntegrityError, DataError) as error:
        if len(entries) == 1:
            _refuse(client, entries[0][1], error)
            return
        # One of them is refused: find out which, and keep the others.
        half = len(entries) // 2
        _write(client, entries[:half])
        _write(client, entries[half:])


def _refuse(client: redis.Redis, fields: dict[bytes, bytes], error: Exception) -> None:
    client.xadd(keys.USAGE_REFUSED, cast("dict[Any, Any]", fields), maxlen=10_000)
    _log.error("usage_record_refused", error=str(error))


def _insert(records: list[bytes]) -> None:
    """Insert all or none; ``records`` are in the JSON of `ollamamax.contract.UsageRecord`, which Postgres itself reads.

    To decode them here and make models of them took four times the processor time of both together.
    """
    if not all(records):
        raise ValueError("The record is empty.")
    text = _SEPARATOR.join([record.decode() for record in records])
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_INSERT, [text, _SEPARATOR])
