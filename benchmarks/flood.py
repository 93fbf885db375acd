"""What a tenant sees of another one that asks over thousands of connections at once, and of a node that lies and floods.

Quiet parts and floods take turns, some rounds of each, and what is compared is all quiet parts with all parts of one flood: a machine is quicker or
slower by the minute, and parts that follow each other meet the same one. What a flood leaves behind (thousands of connections that close) and a
gateway's first requests are measured in no part.

``python -m benchmarks.flood`` is the flood: it reads a JSON `Flood`, connects, says so, and asks when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.client import Job, Result, request_bytes
from benchmarks.fairness import share
from benchmarks.fleet import Fleet
from benchmarks.liar import lying
from benchmarks.load import Load, quantile
from benchmarks.product import MODEL, ROOT

TIMES = 2.0
"""The goal: the other tenant's p99 is at most so many times that of a quiet run."""
_FIRST = 1.0
"""Seconds for which the other tenant asks before the flood begins."""


@dataclass(frozen=True)
class Size:
    """``clients`` of the steady tenant ask for ``tokens`` with ``pause`` seconds between, for ``seconds`` in each part."""

    floods: tuple[tuple[int, bool], ...] = ((2000, False), (10_200, False), (2000, True))
    """Connections of the other tenant, and whether a node lies and floods beside it. A quiet part comes before each."""
    rounds: int = 3
    slots: int = 64
    clients: int = 4
    tokens: int = 8
    pause: float = 0.02
    seconds: float = 8.0
    rest: float = 3.0
    """Seconds of asking before each part that nobody measures."""

    @property
    def engine(self) -> list[str]:
        return ["--first-token-ms", "10", "--owned-by", "vllm"]


class Flood(msgspec.Struct):
    """Each connection asks at once, and again ``pause`` seconds after its answer, over a new one where that was closed."""

    url: str
    key: str
    connections: int
    seconds: float
    pause: float = 2.0


@dataclass
class Part:
    """``answers`` to the flood by their status; those without any were cut off or not answered in time."""

    connections: int
    lies: bool
    steady: Result
    answers: dict[str, int]


def measure(fleet: Fleet, size: Size) -> list[Part]:
    tenants = [{"slug": slug, "weight": 1, "priorities": ["normal"]} for slug in ("steady", "flooding")]
    (steady,), (flooding,) = share(fleet, tenants)
    (url,) = fleet.gateways
    found = []
    with Load() as load:

        def ask(seconds: float) -> Result:
            job = Job(url, MODEL, steady, size.clients, 1_000_000, size.tokens, size.pause, seconds=seconds)
            return load.do(job)

        for number, (connections, lies) in enumerate(in_turns(size)):
            ask(size.rest)
            with contextlib.ExitStack() as beside:
                if lies:
                    beside.enter_context(lying(fleet, f"liar-{number}"))
                answers = beside.enter_context(_flooding(Flood(url, flooding, connections, size.seconds - _FIRST)))
                found.append(Part(connections, lies, ask(size.seconds), answers))
            print("  " + _row([found[-1]], found[:1]), flush=True)
    return found


def in_turns(size: Size) -> list[tuple[int, bool]]:
    """The parts in their order: each flood after a quiet part, once in each round, and another one first in each."""
    found = []
    for number in range(size.rounds):
        at = number % len(size.floods)
        for flood in size.floods[at:] + size.floods[:at]:
            found += [(0, False), flood]
    return found


@contextlib.contextmanager
def _flooding(flood: Flood) -> Iterator[dict[str, int]]:
    """Begins `_FIRST` seconds after its connections are open; what is given is filled at the end."""
    answers: dict[str, int] = {}
    if not flood.connections:
        yield answers
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.flood"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin = process.stdin

    def write(line: bytes) -> None:
        stdin.write(line + b"\n")
        stdin.flush()

    timer = threading.Timer(_FIRST, write, (b"go",))
    try:
        write(msgspec.json.encode(flood))
        process.stdout.readline()
        timer.start()
        yield answers
        answers.update(msgspec.json.decode(process.stdout.readline()))
        process.wait(30)
    finally:
        timer.cancel()
        process.kill()
        process.wait(30)


async def _flood(flood: Flood) -> Counter[str]:
    parts = urlsplit(flood.url)
    request = request_bytes(Job(flood.url, MODEL, flood.key, 1, 1, 1))
    answers: Counter[str] = Counter()
    told, dialling = asyncio.Event(), asyncio.Semaphore(200)
    open_ = 0
    all_open = asyncio.Event()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with dialling:
            return await asyncio.open_connection(parts.hostname, parts.port)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        if status == "200":
            await reader.readuntil(b"0\r\n\r\n")
        answers[status] += 1
        if status == "200":
            return True
        writer.close()
        return False

    async def one() -> None:
        nonlocal open_
        connection = None
        with contextlib.suppress(OSError):
            connection = await connect()
        open_ += 1
        if open_ == flood.connections:
            all_open.set()
        await told.wait()
        while True:
            try:
                connection = connection or await connect()
                if not await ask(*connection):
                    connection = None
            except (OSError, asyncio.IncompleteReadError):
                answers["cut off"] += 1
                connection = None
            await asyncio.sleep(flood.pause)

    tasks = [asyncio.create_task(one()) for _ in range(flood.connections)]
    async with asyncio.timeout(60):
        await all_open.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.readline)
    told.set()
    await asyncio.sleep(flood.seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=10)
    return answers


def main() -> None:
    os.nice(10)  # its own work is no part of what it does to others
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    flood = msgspec.json.decode(sys.stdin.buffer.readline(), type=Flood)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(_flood(flood))
    sys.stdout.buffer.write(msgspec.json.encode(answers) + b"\n")
    sys.stdout.buffer.flush()


def report(found: list[Part], size: Size) -> str:
    """Markdown: a row for the quiet parts together and for those of each flood."""
    lines = [
        f"{size.clients} clients of one tenant, {size.tokens} tokens a request, {size.pause * 1000:.0f} ms between; "
        f"{size.slots} slots; {size.rounds} rounds, {size.seconds:.0f} s a part",
        "",
        "| connections of the other tenant | a lying node | requests | first token, ms: p50, p99, most | p99 of each part | p99, times the quiet one | wrong | answers to the flood |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds = {kind: [part for part in found if (part.connections, part.lies) == kind] for kind in in_turns(size)}
    return "\n".join([*lines, *(_row(parts, kinds[0, False]) for parts in kinds.values())])


def _row(parts: list[Part], quiet: list[Part]) -> str:
    first = _first_tokens(parts)
    p50, p99, most = (quantile(first, share) * 1000 for share in (0.5, 0.99, 1.0))
    each = ", ".join(f"{quantile(part.steady.first_token, 0.99) * 1000:.0f}" for part in parts)
    times = quantile(first, 0.99) / quantile(_first_tokens(quiet), 0.99)
    missed = "" if times <= TIMES else ", missed"
    told: Counter[str] = sum((Counter(part.answers) for part in parts), Counter())
    answers = ", ".join(f"{count} {status}" for status, count in sorted(told.items())) or "-"
    complaint = next((part.steady.complaint for part in parts if part.steady.complaint), "")
    wrong = f"{sum(part.steady.wrong for part in parts)} {complaint[:120]}"
    lies = "yes" if parts[0].lies else "no"
    return f"| {parts[0].connections} | {lies} | {len(first)} | {p50:.0f}, {p99:.0f}, {most:.0f} | {each} | {times:.1f}{missed} | {wrong} | {answers} |"


def _first_tokens(parts: list[Part]) -> list[float]:
    return [each for part in parts for each in part.steady.first_token]


if __name__ == "__main__":
    main()
