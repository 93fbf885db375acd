"""The same code on each ASGI server, and in processes of its own, in one run: all beside one product, its Valkey and its node."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from benchmarks import ways
from benchmarks.product import ROOT, NotStarted, Product, free_port
from benchmarks.ways import DIRECT, Measured, Way

SETTINGS = (
    *(("web", server, 1) for server in ("uvicorn", "daphne")),
    *(("gateway", server, count) for server, count in (("uvicorn", 1), ("uvicorn", 2))),
)
"""What runs: role, server, how many processes."""
ONE_OF_EACH = (("web", "uvicorn", 1), ("gateway", "uvicorn", 1))


def _settings(product: Product) -> dict[str, str]:
    """What the product's own web process was told."""
    return dict(product.processes["web"].environ())


@contextlib.contextmanager
def started(product: Product, only: Sequence[tuple[str, str, int]] = SETTINGS) -> Iterator[list[Way]]:
    """The engine itself, and then a way for each setting."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omx-servers-")))
        direct = Way(DIRECT, product.engine_url)
        yield [direct, *(_start(product, folder, stack, *setting) for setting in only)]


def _start(product: Product, folder: Path, stack: contextlib.ExitStack, role: str, server: str, count: int) -> Way:
    port = free_port()
    name = f"{'web process' if role == 'web' else 'own process' if count == 1 else f'{count} processes'}, {server}"
    changed = {"OLLAMAMAX_ASGI_SERVER": server, "PORT" if role == "web" else "OLLAMAMAX_GATEWAY_PORT": str(port)}
    log = folder / f"{port}.log"
    started: list[subprocess.Popen[bytes]] = []
    for _ in range(count):
        with log.open("ab") as out:
            command = [sys.executable, "-m", "ollamamax.cli", role]
            process = subprocess.Popen(command, cwd=ROOT, env=_settings(product) | changed, stdout=out, stderr=out)
        stack.callback(_end, process)
        started.append(process)
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 60
    while not all(_listens(process.pid) for process in started) or not _answers(f"{url}/readyz"):
        if time.monotonic() > end or any(process.poll() is not None for process in started):
            raise NotStarted(f"{name} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    return Way(name, url, product.key, processes={name: [psutil.Process(process.pid) for process in started]})


def _listens(pid: int) -> bool:
    try:
        return any(each.status == psutil.CONN_LISTEN for each in psutil.Process(pid).net_connections())
    except psutil.NoSuchProcess:
        return False


def _answers(url: str) -> bool:
    try:
        answer: Any = urlopen(url, timeout=5)
    except (OSError, urllib.error.URLError):
        return False
    with answer:
        return bool(answer.status == 200)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(25)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def measure(product: Product, rounds: int) -> Measured:
    with started(product) as found:
        return ways.measure(found, rounds)


def report(measured: Measured) -> str:
    return ways.report(measured) + f"\n{os.cpu_count()} cores carry the client, the engine, Valkey and the node, too."
