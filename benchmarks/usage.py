"""How long sums over many usage records take, and what a record takes of the disk: records go the product's own way, from the stream."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.product import free_port
from ollamamax.contract import AttemptRecord, Route, ScoredNode, UsageRecord, encode_json
from ollamamax.embedded import postgres, valkey

DAYS = 30
TABLES = ("metering_usagerecord", "metering_requestroute", "metering_usagesum")
_CHUNK = 10_000


@dataclass(frozen=True)
class Size:
    """Evenly spread over 30 days and over models, users, keys and nodes, so that hours have as many different sums as can be.

    Of all records the first tenant has 19 in 20: sums within a tenant are over nearly all of them.
    """

    records: int = 1_000_000
    tenants: int = 10
    models: int = 20
    users: int = 200
    keys: int = 100
    nodes: int = 50
    candidates: int = 4
    rounds: int = 15


@dataclass(frozen=True)
class Outcome:
    """``written`` records a second; ``sums``: what was asked -> milliseconds, the median and the longest, and rows told."""

    records: int
    written: float
    bytes: dict[str, float]
    rows: dict[str, int]
    sums: dict[str, tuple[float, float, int]]


def measure(size: Size) -> Outcome:
    with _database() as url:
        os.environ["DATABASE_URL"] = url
        return _measure(size)


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """Servers of our own, from wheels; PostgreSQL as the product sets it up, but for what makes it durable."""
    folder = Path(tempfile.mkdtemp(prefix="omx-usage-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    with contextlib.ExitStack() as stack:
        (folder / "postgres").mkdir()
        database = postgres.TemporaryPostgres(folder / "postgres", free_port())
        stack.callback(database.stop)
        stream = valkey.TemporaryValkey(folder / "valkey", free_port())
        stack.callback(stream.stop)
        os.environ |= {
            "REDIS_URL": stream.url,
            "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(64),
            "OLLAMAMAX_HOME": str(folder / "home"),
            "OLLAMAMAX_LOG_LEVEL": "error",
            "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
        }
        yield database.url


def _measure(size: Size) -> Outcome:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from ollamamax.bus import keys, regions
    from ollamamax.identity.models import Tenant
    from ollamamax.metering.actions.usage import write_usage

    call_command("migrate", interactive=False, verbosity=0)
    tenants = [Tenant.objects.create(slug=f"tenant-{number}", name="Tenant").id for number in range(size.tenants)]
    dice = random.Random(1)
    spent = 0.0
    for at in range(0, size.records, _CHUNK):
        with regions.own().client.pipeline(transaction=False) as pipe:
            for number in range(at, min(at + _CHUNK, size.records)):
                pipe.xadd(keys.USAGE, {"r": encode_json(record(dice, size, number, [id_.hex for id_ in tenants]))})
            pipe.execute()
        begun = time.perf_counter()
        write_usage()
        spent += time.perf_counter() - begun
        if at and at % 200_000 == 0:
            print(f"  {at:,} records written", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        sizes, rows = {}, {}
        for table in TABLES:
            cursor.execute(
                "SELECT pg_total_relation_size(%s) + COALESCE(sum(pg_total_relation_size(inhrelid)), 0)"
                " FROM pg_inherits WHERE inhparent = %s::regclass",
                [table, table],
            )
            sizes[table] = int(cursor.fetchone()[0]) / size.records
            cursor.execute(f"SELECT count(*) FROM {table}")
            rows[table] = cursor.fetchone()[0]
    assert rows["metering_usagerecord"] == size.records
    return Outcome(size.records, size.records / spent, sizes, rows, _sums(size, tenants[0]))


def record(dice: random.Random, size: Size, number: int, tenants: list[str]) -> UsageRecord:
    age = (size.records - number) / size.records * DAYS * 86400
    at = time.time() - age
    node = dice.randrange(size.nodes)
    names = [(f"{each + 1:032x}", f"gpu-{each:03}") for each in range(node, node + size.candidates)]
    parts = {name: round(dice.random(), 6) for name in ("loaded", "prefix", "room", "speed", "region")}
    route = Route(
        strategy="balanced",
        candidates=[ScoredNode(*each, reason="prefix", score=dice.random(), parts=parts) for each in names],
        attempts=[AttemptRecord(*names[0], reason="prefix", given_at=at, started_at=at)],
    )
    return UsageRecord(
        request=f"{int(at * 1000):012x}7{secrets.token_hex(2)[1:]}8{secrets.token_hex(8)[1:]}",
        tenant=tenants[0] if dice.randrange(20) else dice.choice(tenants),
        key=f"{dice.randrange(size.keys) + 1:032x}", user=f"user-{dice.randrange(size.users)}",
        model=f"a-model-{dice.randrange(size.models)}:latest", version="sha256:" + secrets.token_hex(32),
        node=names[0][0], node_name=names[0][1], api="/v1/chat/completions", trace=secrets.token_hex(16), received_at=at,
        prompt_tokens=dice.randrange(4000), completion_tokens=dice.randrange(1000), queue_ms=dice.random() * 100,
        first_token_ms=dice.random() * 1000, duration_ms=dice.random() * 10000,
        outcome="ok" if dice.randrange(50) else "failed", cost=dice.random() / 1000, currency="EUR", route=route,
    )  # fmt: skip


def _sums(size: Size, tenant: Any) -> dict[str, tuple[float, float, int]]:
    """As the API asks for them, at times that are no full hours; and the first page of records."""
    import uuid

    from ollamamax.identity.scope import tenant_scope
    from ollamamax.metering import queries

    now = datetime.datetime.now(datetime.UTC)
    month: dict[str, Any] = {"since": now - datetime.timedelta(days=DAYS - 1, minutes=17), "until": now}
    asked: dict[str, Callable[[], Any]] = {
        "totals": lambda: [queries.totals(**month)],
        "by tenant": lambda: queries.of_tenants(**month),
        "of one key, by model": lambda: queries.groups(by=("model",), key=uuid.UUID(int=1), **month),
        "by day and model": lambda: queries.groups(by=("day", "model"), **month),
        "by key and model": lambda: queries.groups(by=("key", "model"), **month),
        "newest 50 records": lambda: list(queries.usage(**month).order_by("-received_at", "-request")[:50]),
    }
    for name in ("day", "model", "user", "key", "node"):
        asked[f"by {name}"] = lambda name=name: queries.groups(by=(name,), **month)  # type: ignore[misc]
    found = {}
    with tenant_scope(tenant):
        for name, ask in sorted(asked.items()):
            took = []
            for _ in range(size.rounds):
                begun = time.perf_counter()
                told = ask()
                took.append((time.perf_counter() - begun) * 1000)
            found[name] = (statistics.median(took), max(took), len(told))
    return found


def report(outcome: Outcome) -> str:
    lines = [f"{outcome.records:,} usage records over {DAYS} days, {outcome.written:,.0f} written a second", ""]
    lines.extend(
        f"{table:24}{outcome.rows[table]:>12,} rows {outcome.bytes[table]:>8.0f} bytes a record, with indexes"
        for table in TABLES
    )
    lines += ["", f"{'sums':24}{'median ms':>12}{'longest':>10}{'rows':>8}"]
    lines += [
        f"{name:24}{median:>12.1f}{longest:>10.1f}{rows:>8}" for name, (median, longest, rows) in outcome.sums.items()
    ]
    return "\n".join(lines)
