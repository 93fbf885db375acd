"""Moves usage records from Redis to Postgres, each exactly once, and keeps them as long as the settings say."""

from __future__ import annotations

import datetime
from typing import Any, cast

import redis
from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.bus.regions import Region
from ollamamax.identity.scope import every_tenant
from ollamamax.metering.models import UsageSum
from ollamamax.observability.instruments import counter

BATCH = 1000
_SEPARATOR = "\x1e"
"""Between records (RFC 7464). No JSON text can hold it, so that what is wrong in one record stays in that record."""
# Each is charged by the price that counted when it was received, of its model or of all: what has no node, and an answer that no
# engine counted, is not. What names one version by its digest and has no price of its own has that of the model's dearest name, as
# `KnownBudgets.price_of` has it for budgets. Seconds of slots are those of the attempts in its route, where a price asks for them.
# Fields of a record that are not named here it ignores. The rows of sums are written in the order of their key, so that two
# writers at once wait for each other and never in a circle.
_INSERT = """
WITH record AS (
  SELECT
    request, tenant, key, left(COALESCE("user", ''), 256) AS "user", model, version, NULLIF(node, '')::uuid AS node, node_name,
    api, trace, to_timestamp(received_at) AS received_at, prompt_tokens, completion_tokens, queue_ms, first_token_ms,
    duration_ms, CASE WHEN refused THEN 'refused' ELSE outcome END AS outcome, COALESCE(error, '') AS error, COALESCE(attempts, 1) AS attempts,
    COALESCE(priority, 'normal') AS priority, cost,
    CASE WHEN cost IS NULL THEN '' ELSE COALESCE(currency, '') END AS currency, NULLIF(status, 0) AS status, metadata,
    CASE WHEN cached_tokens > prompt_tokens THEN prompt_tokens ELSE cached_tokens END AS cached_tokens, slot_seconds, route,
    COALESCE(prompt_kept, false) AS prompt_kept, received_at + duration_ms / 1000 AS ended,
    NULLIF(shadow_of, '')::uuid AS shadow_of, same_answer
  FROM string_to_table(%s, %s) AS entry (record), jsonb_to_record(record::jsonb) AS field (
    request uuid, tenant uuid, key uuid, "user" text, model text, version text, node text, node_name text, api text,
    trace text, received_at float8, prompt_tokens bigint, completion_tokens bigint, queue_ms float8, first_token_ms float8,
    duration_ms float8, outcome text, error text, attempts smallint, priority text, cost numeric, currency text, status smallint,
    metadata jsonb, cached_tokens bigint, slot_seconds float8, prompt_kept boolean, route jsonb,
    refused boolean, shadow_of text, same_answer boolean
  )
), priced AS (
  SELECT
    record.*, price.id AS by_price, price.currency AS price_currency, per.seconds AS price_seconds,
    CASE WHEN outcome <> 'ok' OR prompt_tokens + completion_tokens > 0 OR GREATEST(prompt_million, completion_million) = 0 THEN round(
      ((prompt_tokens - COALESCE(cached_tokens, 0)) * prompt_million + COALESCE(cached_tokens, 0) * kept_million
        + completion_tokens * completion_million) / 1000000 + COALESCE(per.seconds::numeric * price.second, 0),
      9
    ) END AS charge
  FROM record
  LEFT JOIN LATERAL (
    SELECT id, currency, prompt_million, completion_million, COALESCE(cached_million, prompt_million) AS kept_million, second
    FROM (
      (
        SELECT *, 1 AS place FROM metering_modelprice AS own
        WHERE own.tenant_id = record.tenant AND own.valid_from <= record.received_at
          AND own.model = CASE WHEN record.model ~ ':[^/]*$' THEN record.model ELSE record.model || ':latest' END
        ORDER BY own.valid_from DESC, own.id DESC LIMIT 1
      ) UNION ALL (
        SELECT *, 2 FROM (
          SELECT DISTINCT ON (model) * FROM metering_modelprice AS other
          WHERE record.model LIKE '%%@sha256:%%' AND starts_with(other.model, split_part(record.model, '@sha256:', 1) || ':')
            AND other.tenant_id = record.tenant AND other.valid_from <= record.received_at
          ORDER BY model, valid_from DESC, id DESC
        ) AS named
        ORDER BY completion_million DESC, prompt_million DESC, second DESC, COALESCE(cached_million, prompt_million) DESC, id DESC LIMIT 1
      ) UNION ALL (
        SELECT *, 3 FROM metering_modelprice AS general
        WHERE general.tenant_id = record.tenant AND general.valid_from <= record.received_at AND general.model = ''
        ORDER BY general.valid_from DESC, general.id DESC LIMIT 1
      )
    ) AS either
    ORDER BY place LIMIT 1
  ) AS price ON node IS NOT NULL AND outcome <> 'refused' AND shadow_of IS NULL
  LEFT JOIN LATERAL (
    SELECT COALESCE(record.slot_seconds, sum(GREATEST(0, COALESCE(next_at, ended) - started_at)), 0) AS seconds
    FROM (
      SELECT started_at, lead(given_at) OVER (ORDER BY number) AS next_at
      FROM ROWS FROM (jsonb_to_recordset(route -> 'attempts') AS (given_at float8, started_at float8)) WITH ORDINALITY
        AS attempt (given_at, started_at, number)
    ) AS attempts
    WHERE started_at IS NOT NULL
  ) AS per ON price.second > 0
), written AS (
  INSERT INTO metering_usagerecord (
    request, tenant_id, key, "user", model, version, node, node_name, api, trace, received_at, prompt_tokens,
    completion_tokens, queue_ms, first_token_ms, duration_ms, outcome, error, attempts, priority, cost, currency, status, metadata,
    cached_tokens, prompt_kept, charge, charge_currency, price, slot_seconds, shadow_of, same_answer
  )
  SELECT
    request, tenant, key, "user", model, version, node, node_name, api, trace, received_at, prompt_tokens,
    completion_tokens, queue_ms, first_token_ms, duration_ms, outcome, error, attempts, priority, cost, currency, status, metadata,
    cached_tokens, prompt_kept, charge, CASE WHEN charge IS NULL THEN '' ELSE price_currency END, CASE WHEN charge IS NOT NULL THEN by_price END,
    CASE WHEN charge IS NOT NULL THEN price_seconds END, shadow_of, same_answer
  FROM priced
  ON CONFLICT (request) DO NOTHING
  RETURNING
    request, tenant_id, key, "user", model, node, received_at, prompt_tokens, completion_tokens, cached_tokens, outcome, cost, currency,
    charge, charge_currency, shadow_of
), routed AS (
  INSERT INTO metering_requestroute (request, tenant_id, route)
  SELECT request, tenant_id, route FROM record JOIN written USING (request) WHERE route <> 'null'
  ON CONFLICT (request) DO NOTHING
)
INSERT INTO metering_usagesum AS held (
  by, period, tenant_id, start, subject, model, currency, requests, refused, failed, prompt_tokens, completion_tokens,
  cached_tokens, priced, cost, charged, charge
)
SELECT
  by, period, tenant_id, date_trunc(period, received_at, 'UTC'), subject, with_model, money.currency,
  count(node) FILTER (WHERE counts AND outcome <> 'refused'), count(*) FILTER (WHERE counts AND outcome = 'refused'),
  count(node) FILTER (WHERE counts AND outcome IN ('failed', 'gateway_lost', 'node_lost')),
  COALESCE(sum(prompt_tokens) FILTER (WHERE counts), 0), COALESCE(sum(completion_tokens) FILTER (WHERE counts), 0),
  COALESCE(sum(cached_tokens) FILTER (WHERE counts), 0),
  count(cost) FILTER (WHERE counts), COALESCE(sum(cost) FILTER (WHERE counts), 0),
  count(charge) FILTER (WHERE money.currency = charge_currency), COALESCE(sum(charge) FILTER (WHERE money.currency = charge_currency), 0)
FROM written
CROSS JOIN LATERAL (
  -- Where cost and charge are in two currencies, the charge has a row of its own, which counts nothing else.
  SELECT CASE WHEN cost IS NULL THEN charge_currency ELSE written.currency END AS currency, TRUE AS counts
  UNION ALL
  SELECT charge_currency, FALSE WHERE cost IS NOT NULL AND charge IS NOT NULL AND charge_currency <> written.currency
) AS money
CROSS JOIN (VALUES ('hour'), ('day')) AS periods (period)
CROSS JOIN LATERAL (
  VALUES
    ('all', '', ''), ('model', model, ''), ('user', "user", ''), ('key', key::text, ''), ('node', COALESCE(node::text, ''), ''),
    ('user+model', "user", model), ('key+model', key::text, model), ('node+model', COALESCE(node::text, ''), model)
) AS subjects (by, subject, with_model)
WHERE (period = 'day' OR with_model = '') AND shadow_of IS NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (by, period, tenant_id, start, subject, model, currency) DO UPDATE SET
  requests = held.requests + EXCLUDED.requests,
  refused = held.refused + EXCLUDED.refused,
  failed = held.failed + EXCLUDED.failed,
  prompt_tokens = held.prompt_tokens + EXCLUDED.prompt_tokens,
  completion_tokens = held.completion_tokens + EXCLUDED.completion_tokens,
  cached_tokens = held.cached_tokens + EXCLUDED.cached_tokens,
  priced = held.priced + EXCLUDED.priced,
  cost = held.cost + EXCLUDED.cost,
  charged = held.charged + EXCLUDED.charged,
  charge = held.charge + EXCLUDED.charge
"""
_WRITTEN = counter("ollamamax_usage_written_total")
_Entry = tuple[bytes, dict[bytes, bytes]]
_log = logs.get(__name__)


def write_usage(region: Region | None = None, *, most: int = 20_000) -> int:
    """Insert what waits in the stream, with its routes and into the sums, then delete it there. Returns how many records it took from the stream.

    Killed in between, or run twice at once, it inserts the same request ids again, which Postgres ignores. With Postgres
    away it raises and the records stay. A record that Postgres refuses is put aside in the stream `keys.USAGE_REFUSED`.
    Queries: 1 for each 1000 records; some 20 more for each one that is refused.
    """
    taken = 0
    client = (region or regions.own()).client
    while taken < most:
        entries = cast("list[_Entry]", client.xrange(keys.USAGE, count=BATCH))
        if entries:
            _write(client, entries)
            client.xdel(keys.USAGE, *[entry for entry, _ in entries])
            _WRITTEN.inc(len(entries))
        taken += len(entries)
        if len(entries) < BATCH:
            break
    return taken


def _write(client: redis.Redis, entries: list[_Entry]) -> None:
    try:
        insert([fields[b"r"] for _, fields in entries])
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


def insert(records: list[bytes]) -> None:
    """Insert all or none, each that is not there yet; ``records`` are in the JSON of `ollamamax.contract.UsageRecord`, which Postgres itself reads.

    To decode them here and make models of them took four times the processor time of both together.
    """
    if not all(records):
        raise ValueError("The record is empty.")
    text = _SEPARATOR.join([record.decode() for record in records])
    with every_tenant(), transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_INSERT, [text, _SEPARATOR])


def keep_usage() -> None:
    """Make partitions for the days to come, and drop records, routes and sums that are older than the settings let them be.

    Safe to run twice, also at once. Raises `OperationalError` where a long query keeps it from a table: it is tried again.
    Queries: 3.
    """
    record_days, route_days = settings.ENV["OLLAMAMAX_USAGE_DAYS"], settings.ENV["OLLAMAMAX_ROUTE_DAYS"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_make_partitions()")
        cursor.execute("SELECT metering_drop_partitions(%s, %s)", [record_days, route_days])
    # Records are dropped by the week: as long as one is there, the sums of its hour and its day are.
    days = max(settings.ENV["OLLAMAMAX_USAGE_TOTALS_DAYS"], record_days + 9)
    oldest = timezone.now() - datetime.timedelta(days=days)
    with every_tenant():
        UsageSum.objects.filter(start__lt=oldest).delete()
