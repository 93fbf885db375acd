"""The audit trail: how many records a second over several tenants, and how long it takes to verify and to search very many."""

from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import random
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.audit_rows import MONTHS, tenant
from benchmarks.product import free_port
from ollamamax.embedded import postgres, valkey

Way = Literal["alone", "together"]
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_auditrecord' AND indexname <> 'audit_record_seq_at_unique'"


@dataclass(frozen=True)
class Size:
    """So many threads of each process add records at once, for ``seconds``; then there are ``records``, in as many chains as there are tenants.

    A web process has 8 connections to the database at most: of group commit the threads that wait for others have none.
    """

    records: int = 10_000_000
    tenants: int = 8
    users: int = 20
    seconds: float = 10.0
    processes: int = 2
    threads_alone: int = 8
    threads_together: int = 32
    rounds: int = 200


@dataclass
class Outcome:
    appended: dict[str, tuple[float, int]]
    """Way -> records a second, and how many were found afterwards in chains that verify."""
    filled: float = 0.0
    bytes: float = 0.0
    read: float = 0.0
    verified: float = 0.0
    searches: dict[str, tuple[float, float, int]] | None = None
    """What was asked -> milliseconds, the median and the 99th percentile, and rows of the last."""
    plans: dict[str, str] | None = None


def measure(size: Size) -> Outcome:
    outcome = Outcome({})
    ways: tuple[Way, ...] = ("alone", "together")
    with _database() as url:
        for way in ways:
            outcome.appended[way] = _append(size, way)
            print(f"  {way}: {outcome.appended[way][0]:,.0f} records a second", flush=True)
        if size.records:
            _large(size, url, outcome)
    return outcome


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """Servers of our own, from wheels; PostgreSQL as the product sets it up."""
    folder = Path(tempfile.mkdtemp(prefix="omx-audit-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "postgres").mkdir()
        database = postgres.TemporaryPostgres(folder / "postgres", free_port(), durable=True)
        stack.callback(database.stop)
        stream = valkey.TemporaryValkey(folder / "valkey", free_port())
        stack.callback(stream.stop)
        os.environ |= {
            "DATABASE_URL": database.url,
            "REDIS_URL": stream.url,
            "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(64),
            "OLLAMAMAX_HOME": str(folder / "home"),
            "OLLAMAMAX_LOG_LEVEL": "error",
            "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
        }
        with _elsewhere(1) as pool:
            pool.submit(_migrate).result()
        yield database.url


@contextlib.contextmanager
def _elsewhere(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that are set up with the settings of now: Django takes them once."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield pool


def _migrate() -> None:
    """The trail's own tables, which refer to no others."""
    import django

    django.setup()
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("audit"))


def _append(size: Size, way: Way) -> tuple[float, int]:
    with _elsewhere(1) as pool:
        before = pool.submit(_whole).result()
    with _elsewhere(size.processes) as pool, multiprocessing.Manager() as manager:
        barrier = manager.Barrier(size.processes + 1)
        asked = [pool.submit(_writers, size, way, barrier) for _ in range(size.processes)]
        barrier.wait(300)
        begun = time.perf_counter()
        written = sum(each.result() for each in asked)
        took = time.perf_counter() - begun
    with _elsewhere(1) as pool:
        found = pool.submit(_whole).result() - before
    if found != written:
        raise AssertionError(f"{written} records were answered for, and {found} are there")
    return written / took, found


def _writers(size: Size, way: Way, barrier: Any) -> int:
    """How many records threads of this process wrote, each of which waited for its own to be committed."""
    import django

    django.setup()
    from django.db import connection, transaction

    from ollamamax.audit.actions import append
    from ollamamax.audit.together import record_together

    count = size.threads_together if way == "together" else size.threads_alone
    done = [0] * count
    ready = threading.Barrier(count + 1)
    begin, end = threading.Event(), [0.0]

    def work(number: int) -> None:
        dice = random.Random(number)
        ready.wait()
        begin.wait()
        while time.perf_counter() < end[0]:
            happening = _refusal(size, dice, number % size.tenants)
            if way == "together":
                record_together(happening, tenant(number % size.tenants))
            else:
                with transaction.atomic(durable=True):
                    append(tenant(number % size.tenants), [happening])
            connection.close()  # as at the end of a request: back into the pool
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    ready.wait()
    barrier.wait(300)
    end[0] = time.perf_counter() + size.seconds
    begin.set()
    for each in threads:
        each.join()
    return sum(done)


def _refusal(size: Size, dice: random.Random, of: int) -> Any:
    from ollamamax.audit.actions import Happening
    from ollamamax.kernel.principal import Principal

    number = dice.randrange(size.users)
    who = Principal(
        "user", f"{number + 1:032x}", tenant(of), f"person-{number}@example.com",
        request=f"{dice.getrandbits(128):032x}", address=f"192.0.2.{number}",
    )  # fmt: skip
    detail = {"method": "POST", "refused": 1, "permission": "key.issue"}
    return Happening(who, "request.refuse", "route", "api/v1/keys", detail)


def _whole() -> int:
    import django

    django.setup()
    from ollamamax.audit.models import AuditRecord
    from ollamamax.audit.verify import verify

    problems = list(verify(processes=os.cpu_count() or 1))
    assert problems == [], problems
    return AuditRecord.objects.count()


def _large(size: Size, url: str, outcome: Outcome) -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from benchmarks.audit_rows import Pattern, fill
    from ollamamax.audit.actions import append
    from ollamamax.audit.models import AuditRecord

    until = datetime.datetime.now(datetime.UTC)
    since = until - datetime.timedelta(days=30 * MONTHS)
    dice = random.Random(1)
    patterns = []
    # What the product itself writes comes last in a month, and what is generated would lie before: so it is moved to the beginning.
    for number in range(size.tenants):
        with transaction.atomic():
            append(tenant(number), [_refusal(size, dice, number) for _ in range(size.users * 5)])
        rows = list(AuditRecord.objects.filter(chain=tenant(number)).order_by("seq").values())
        patterns.append((number, rows))
    begun = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        for month in range(MONTHS + 1):
            first = (since + datetime.timedelta(days=30.4 * month)).replace(
                day=1, hour=0, minute=0, second=0, microsecond=0
            )
            cursor.execute("SELECT audit_make_partition(%s)", [first])
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM audit_auditrecord")
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    each = size.records // size.tenants
    from ollamamax.audit import chain

    ends = []
    with _elsewhere(os.cpu_count() or 1) as pool:
        asked = [
            pool.submit(fill, url, Pattern(tenant(number), 0, chain.GENESIS, rows), each, since, until)
            for number, rows in patterns
        ]
        for number, one in enumerate(asked):
            ends.append((*one.result(), until, tenant(number)))
            print(f"  {each * (number + 1):,} records generated", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.executemany("UPDATE audit_chainhead SET seq = %s, hash = %s, at = %s WHERE chain = %s", ends)
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE audit_auditrecord")
        cursor.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'audit_auditrecord'::regclass"
        )
        outcome.bytes = float(cursor.fetchone()[0]) / size.records
    outcome.filled = time.perf_counter() - begun
    print(f"  filled in {outcome.filled:,.0f} s", flush=True)
    _verify(outcome)
    print(f"  read in {outcome.read:,.0f} s, verified in {outcome.verified:,.0f} s", flush=True)
    from benchmarks.audit_search import search

    outcome.searches, outcome.plans = search(size.tenants, size.users, size.rounds)


def _verify(outcome: Outcome) -> None:
    """Reading, and then verifying, each with a process on each core: what is in memory of it by then is the same before both."""
    from django.db import connection, transaction

    from ollamamax.audit.models import AuditRecord, ChainHead
    from ollamamax.audit.segments import Head, open_snapshot, stretches
    from ollamamax.audit.verify import connecting, verify

    cores = os.cpu_count() or 1
    begun = time.perf_counter()
    wanted = [
        stretch
        for head in ChainHead.objects.order_by("chain")
        for stretch in stretches(head.chain, Head(0, ""), head.seq)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        [snapshot] = cursor.fetchone()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(cores, context, open_snapshot, (connecting(), snapshot)) as pool:
            count = sum(pool.map(_read, wanted))
    outcome.read = time.perf_counter() - begun
    begun = time.perf_counter()
    problems = list(verify(processes=cores))
    outcome.verified = time.perf_counter() - begun
    assert problems == [], problems
    assert count == AuditRecord.objects.count()


def _read(stretch: Any) -> int:
    from ollamamax.audit.segments import cursor_there, fetch

    with cursor_there() as cursor:
        return len(fetch(cursor, stretch))


def report(outcome: Outcome, size: Size) -> str:
    lines = [
        f"{size.tenants} tenants, {size.processes} processes; each thread waits for each of its records; PostgreSQL with fsync"
    ]
    names = {
        "alone": f"a transaction each, {size.threads_alone} threads",
        "together": f"group commit, {size.threads_together} threads",
    }
    lines += [
        f"{names[way]:36}{rate:>9,.0f} records/s, {found:,} verified" for way, (rate, found) in outcome.appended.items()
    ]
    if not size.records:
        return "\n".join(lines)
    lines += [
        "",
        f"{size.records:,} records that were generated, in {size.tenants} chains and {MONTHS} months: {outcome.bytes:,.0f} bytes each with indexes",
        f"read by a process on each core      {outcome.read:>9,.1f} s",
        f"verified by a process on each core  {outcome.verified:>9,.1f} s, {outcome.verified / outcome.read:.2f} times reading",
        "",
        f"{'a page of':36}{'median ms':>12}{'p99 ms':>10}{'rows':>6}",
    ]
    for name, (median, p99, rows) in (outcome.searches or {}).items():
        lines.append(f"{name:36}{median:>12.1f}{p99:>10.1f}{rows:>6}")
    for name, plan in (outcome.plans or {}).items():
        lines += ["", name, plan]
    return "\n".join(lines)
