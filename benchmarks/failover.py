"""What clients see, and what is lost, when the primary of Redis and that of PostgreSQL are killed under load and others take their places."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import redis

from benchmarks.client import expected_text
from benchmarks.installation import Installation, Release, installation
from benchmarks.interruptions import Clients, Told
from benchmarks.product import ROOT, NotStarted, ask
from benchmarks.rows import rows
from benchmarks.stores import Bus, Database, programs, wait
from benchmarks.upgrade import _join, _model
from ollamamax.bus.connect import connect

EVERY = 50
TOKENS = 40


@dataclass(frozen=True)
class Size:
    """``streams`` in flight; ``watched`` seconds before and after each kill."""

    streams: int = 16
    nodes: int = 2
    watched: float = 10.0


@dataclass
class Step:
    """``seconds``: until the successor took its first write; ``silence``: the longest that a client heard nothing."""

    what: str
    seconds: float
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    silence: float = 0.0


@dataclass
class Outcome:
    steps: list[Step]
    answered: int
    without_record: int
    """Whole answers of which PostgreSQL knows nothing."""
    keys_lost: int
    """Of those that the management API said to be kept."""
    deposed: dict[str, int]
    """What reached a server that had been replaced and came back as if it had not."""
    users: set[str]
    """Redis users of nodes on the successor."""
    doctor: list[str]
    """Codes of what the doctor found when both were replaced."""

    @property
    def failed(self) -> int:
        return sum(len(step.failed) for step in self.steps)


def measure(size: Size) -> Outcome:
    bin_folder = programs()
    if bin_folder is None:
        raise NotStarted("Debian's package postgresql is missing: its pg_basebackup makes the standby.")
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="omx-failover-", ignore_cleanup_errors=True))
        )
        folder.chmod(0o711)
        bus = Bus(folder / "bus")
        stack.callback(bus.stop)
        database = Database(folder / "postgres", bin_folder)
        stack.callback(database.stop)
        stores = {"DATABASE_URL": database.url, "REDIS_URL": bus.url, "OLLAMAMAX_NODE_REDIS_URL": bus.nodes_url}
        made = stack.enter_context(installation(stores))
        return asyncio.run(_measure(made, bus, database, size))


async def _measure(made: Installation, bus: Bus, database: Database, size: Size) -> Outcome:
    now = Release("now", ROOT)
    async with made.door.open():
        await asyncio.to_thread(made.finish, now, "static", "manage", "collectstatic", "--noinput", "--verbosity", "0")
        await asyncio.to_thread(made.finish, now, "prepare", "manage", "prepare")
        made.key = json.loads((made.folder / "home" / "bootstrap.json").read_text())["api_key"]
        _, backend = await made.web(now)
        made.start(now, "controller", "ollamamax.cli", "controller")
        await asyncio.to_thread(_join, made, now, size.nodes)
        for number in range(size.nodes):
            made.node(now, f"node-{number}")
        model = await _model(made)
        # Not by the door, which leads nobody to a gateway that says of itself that it lacks Redis: these can wait.
        url = f"http://127.0.0.1:{backend.port}"
        clients = Clients([url], made.key, size.streams, TOKENS, f"Count, every {EVERY} ms", model=model)
        over = asyncio.Event()
        running = asyncio.create_task(clients.run(over, expected_text(TOKENS)))
        kept = Keys(url, made.key)
        keeping = asyncio.create_task(kept.run(over))
        watch = Watch(clients, size.watched)
        await watch.step("nothing", _nothing)
        await watch.step("Redis", lambda: _redis_fails(bus))
        bus.start(bus.ports[0])  # as if it were the primary still
        await watch.step("Redis' first primary comes back", _nothing)
        users = await asyncio.to_thread(_users, bus)
        await watch.step("PostgreSQL", lambda: _postgres_fails(database))
        database.start(database.ports[0], "-c", "synchronous_standby_names=")  # which may be written
        await watch.step("PostgreSQL's first primary comes back", _nothing)
        over.set()
        await asyncio.gather(running, keeping)
        watch.count()
        whole = {told.request for told in clients.told if told.end == "ok"}
        without = await asyncio.to_thread(_without_record, database, whole)
        doctor = await asyncio.to_thread(_doctor, made, now)
        return Outcome(
            steps=watch.steps,
            answered=len(whole),
            without_record=without,
            keys_lost=len(
                kept.names
                - {name for (name,) in rows(database.one(database.ports[1]), "SELECT name FROM identity_apikey")}
            ),
            deposed=await asyncio.to_thread(_deposed, bus, database, kept),
            users=users,
            doctor=doctor,
        )


class Keys:
    """Makes keys by the management API, one after the other: ``names`` of those that it said to be made."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self.names: set[str] = set()
        self.at: dict[str, float] = {}
        self.refused: Counter[int] = Counter()

    async def run(self, over: asyncio.Event) -> None:
        number = 0
        while not over.is_set():
            number += 1
            name = f"failover {number}"
            try:
                await asyncio.to_thread(ask, f"{self._url}/api/v1/keys", self._key, {"name": name})
            except HTTPError as error:
                self.refused[error.code] += 1
            except OSError:
                self.refused[0] += 1
            else:
                self.names.add(name)
            await asyncio.sleep(0.2)


class Watch:
    """Divides what clients were told among the steps."""

    def __init__(self, clients: Clients, seconds: float) -> None:
        self._clients, self._seconds = clients, seconds
        self._told = 0
        self.steps: list[Step] = []

    async def step(self, what: str, act: Any) -> None:
        self.count()
        self.steps.append(Step(what, await asyncio.to_thread(act)))
        await asyncio.sleep(self._seconds)
        self.count()
        step = self.steps[-1]
        print(
            f"  {what}: {step.seconds:.1f} s; {step.answered} answers, {len(step.failed)} failed, longest silence "
            f"{step.silence:.1f} s {Counter(step.failed).most_common(3) or ''}",
            flush=True,
        )

    def count(self) -> None:
        told = self._clients.told[self._told :]
        self._told += len(told)
        if not self.steps:
            return
        step = self.steps[-1]
        step.answered += sum(each.end == "ok" and each.right for each in told)
        step.failed += [_complaint(each) for each in told if each.end != "ok" or not each.right]
        step.silence = max([step.silence, *(max(each.gap, (each.first or each.ended) - each.begun) for each in told)])


def _complaint(told: Told) -> str:
    return f"{told.end} {told.status.decode()} {told.complaint}"


def _nothing() -> float:
    return 0.0


def _redis_fails(bus: Bus) -> float:
    bus.kill(bus.ports[0])
    client = connect(bus.url)

    def writes() -> bool:
        client.set("omx-benchmark", "1", px=1)
        return True

    return wait(writes, "a new primary of Redis")


def _postgres_fails(database: Database) -> float:
    began = time.monotonic()
    database.kill(database.ports[0])
    database.promote(database.ports[1])
    wait(lambda: database.is_writable(database.ports[1]), "a new primary of PostgreSQL")
    return time.monotonic() - began


def _users(bus: Bus) -> set[str]:
    with bus.client(bus.ports[1]) as client:
        found: list[Any] = client.execute_command("ACL", "USERS")
        return {name.decode() for name in found if name.startswith(b"node.")}


def _without_record(database: Database, whole: set[str]) -> int:
    """Records come with a batch: they are waited for."""
    missing = set(whole)

    def all_there() -> bool:
        found = rows(database.one(database.ports[1]), "SELECT request::text FROM metering_usagerecord")
        missing.difference_update(each.replace("-", "") for (each,) in found)
        return not missing

    with contextlib.suppress(NotStarted):
        wait(all_there, "records")
    return len(missing)


def _deposed(bus: Bus, database: Database, kept: Keys) -> dict[str, int]:
    there = {name for (name,) in rows(database.one(database.ports[0]), "SELECT name FROM identity_apikey")}
    here = {name for (name,) in rows(database.one(database.ports[1]), "SELECT name FROM identity_apikey")}
    with bus.client(bus.ports[0]) as client:
        try:
            client.set("omx-benchmark", "1", px=1)
            writable = 1
        except redis.ReadOnlyError:
            writable = 0
    return {"keys": len(there - here), "Redis may be written": writable}


def _doctor(made: Installation, now: Release) -> list[str]:
    with contextlib.suppress(NotStarted):
        made.finish(now, "doctor", "manage", "doctor", "--json")
    text = made.log("doctor").read_text()
    return [str(each["code"]) for each in json.loads(text[text.index("[") :])]


def report(outcome: Outcome, size: Size) -> str:
    lines = [
        f"{size.streams} streams of {TOKENS} tokens, one every {EVERY} ms, {size.nodes} nodes; Valkey with one replica and three Sentinels, "
        f"PostgreSQL with one synchronous standby; {size.watched:g} s after each step",
        "",
        "| | s until its successor takes writes | answers | failed | longest silence, s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {step.what} | {step.seconds:.1f} | {step.answered} | {len(step.failed)} | {step.silence:.1f} |"
        for step in outcome.steps
    ]
    return "\n".join(
        [
            *lines,
            "",
            f"{outcome.answered} whole answers, {outcome.without_record} without a record; {outcome.keys_lost} keys lost that were said to be kept.",
        ]
    )
