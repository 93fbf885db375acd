"""The product as it really runs, in a throw-away folder: `up` without its own node, a stub engine, and a node joined to it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import psutil

from ollamamax.embedded.home import Home

ROOT = Path(__file__).resolve().parents[1]
MODEL = "stub"
SLOTS = 64
NOT_OURS = {"DATABASE_URL", "REDIS_URL", "DETACH", "HOST", "OLLAMAMAX_SECRET_KEY", "DJANGO_SETTINGS_MODULE"}
"""What a shell or a test run may have set, and the product is to make or choose by itself."""


class NotStarted(Exception):
    """A part did not come up; the text holds the end of its log."""


@dataclass
class Product:
    """Addresses of a running product and of the engine behind it; ``processes`` by name."""

    url: str
    engine_url: str
    key: str
    processes: dict[str, psutil.Process]
    look: Callable[[], dict[str, psutil.Process]] = dict
    home: Path = Path()
    """Of the installation: where it keeps what its first start printed."""

    def renewed(self, name: str) -> psutil.Process:
        """A process that the supervisor may have started again."""
        return self.look()[name]

    def put_ahead(self) -> None:
        """Let what a request passes through run before all else on this machine."""
        for name in ("valkey", "web", "node", "stub engine"):
            put_ahead(self.processes[name].pid)

    def memory(self) -> dict[str, float]:
        """Resident MB of each process; PostgreSQL's with all its children, each counted as it alone would hold it."""
        return {name: _resident(name, process) / 1e6 for name, process in self.processes.items()}

    def cpu(self) -> dict[str, float]:
        """Processor seconds of each process since its start; PostgreSQL's with its children, as long as they live."""
        return {name: _processor(name, process) for name, process in self.processes.items()}


def put_ahead(pid: int) -> None:
    """Real-time priority for every thread of a process. Linux, and root; raises `PermissionError` otherwise."""
    for thread in psutil.Process(pid).threads():
        os.sched_setscheduler(thread.id, os.SCHED_RR, os.sched_param(1))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    source: Path = ROOT, slots: int = SLOTS, environ: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Product]:
    """Start everything from the code in ``source``, with a stub engine, and end and delete it afterwards."""
    with placed(source, nodes=0) as place:
        place.environ |= environ
        yield _with_stub(place, slots)


@contextlib.contextmanager
def running_nodes(nodes: int, source: Path = ROOT) -> Iterator[Product]:
    """The same with so many nodes of `make up` itself, whose engines are llama.cpp with the bundled model."""
    with placed(source, nodes) as place:
        key = place.up()
        yield Product(
            place.url,
            "",
            key,
            supervised(source, place.environ),
            lambda: supervised(source, place.environ),
        )


@dataclass
class Place:
    """A folder in which a product runs, and what is told to it."""

    source: Path
    folder: Path
    environ: dict[str, str]
    stack: contextlib.ExitStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['PORT']}"

    @property
    def home(self) -> Path:
        return Path(self.environ["OLLAMAMAX_HOME"])

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def start(self, name: str, *command: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """``environ``: instead of the one that the product was started with."""
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.source,
            env=self.environ if environ is None else environ,
            stdout=self.log(name).open("ab"),
            stderr=subprocess.STDOUT,
        )
        self.stack.callback(end, process)
        return process

    def up(self, seconds: float = 400) -> str:
        """Start the product's own processes; the first key."""
        process = self.start("up", "ollamamax.embedded", "up")
        wait_for(lambda: " is ready after " in self.log("up").read_text(), process, self.log("up"), seconds)
        key: str = json.loads((self.home / "bootstrap.json").read_text())["api_key"]
        return key

    def reset(self) -> None:
        # The database may lie outside of the folder, where PostgreSQL's user can reach it.
        reset = [sys.executable, "-m", "ollamamax.embedded", "reset", "--yes"]
        subprocess.run(reset, cwd=self.source, env=self.environ, check=True)


@contextlib.contextmanager
def placed(source: Path, nodes: int, home: Path | None = None) -> Iterator[Place]:
    """A place for a product that is started from ``source``, with its data in ``home`` where that is given; it is reset in the end."""
    folder = Path(tempfile.mkdtemp(prefix="omx-bench-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    environ = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
    environ |= {
        "OLLAMAMAX_HOME": str(home or folder / "home"),
        "PORT": str(free_port()),
        "NODES": str(nodes),
        "PYTHONPATH": str(source),
    }
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        place = Place(source, folder, environ, stack)
        stack.callback(place.reset)
        yield place


def _with_stub(place: Place, slots: int) -> Product:
    source, folder, start, url = place.source, place.folder, place.start, place.url
    node_home, engine_url = folder / "node", f"http://127.0.0.1:{free_port()}"
    engine = start("engine", "benchmarks.engine", "--port", engine_url.rpartition(":")[2])
    key = place.up()
    token = ask(f"{url}/api/v1/nodes/tokens", key, {"expires_in": 600, "max_uses": 1})["token"]
    joined = start(
        "join", "cluster.worker.cli", "join", url, "--token", token, "--engine", "openai", "--engine-url", engine_url,
        "--home", str(node_home), "--name", "bench", "--slots", str(slots),
        *_local_bus(place),
    )  # fmt: skip
    if joined.wait(60):
        raise NotStarted((folder / "join.log").read_text())
    node = start("node", "cluster.worker.cli", "run", "--home", str(node_home))
    # The controller finds the engine's model, and the gateway is told of it.
    wait_for(lambda: f'"{MODEL}:' in json.dumps(ask(f"{url}/v1/models", key)), node, folder / "node.log")
    processes = {
        **supervised(source, place.environ),
        "node": psutil.Process(node.pid),
        "stub engine": psutil.Process(engine.pid),
    }
    return Product(url, engine_url, key, processes, home=place.home)


def _local_bus(place: Place) -> list[str]:
    """By its socket, as the nodes of `up` itself; code from before there was one has none."""
    socket = Home(place.home).socket("valkey")
    return ["--redis-url", f"unix://{quote(str(socket))}?db=0"] if socket.exists() else []


def supervised(source: Path, environ: dict[str, str], seconds: float = 120) -> dict[str, psutil.Process]:
    """The processes that `up` started, by its own words, and their supervisor, through which their logs pass.

    A process is told of when its supervisor has seen it run for a while, which may be after it answers.
    """
    until = time.monotonic() + seconds
    while True:
        said = subprocess.run(
            [sys.executable, "-m", "ollamamax.embedded", "status"],
            cwd=source,
            env=environ,
            capture_output=True,
            text=True,
        ).stdout
        found = {}
        for line in said.splitlines():
            name, *words = line.split()
            if "pid" in words:
                found[name] = psutil.Process(int(words[words.index("pid") + 1].rstrip(",")))
        if "web" in found and " starting " not in said:
            break
        if time.monotonic() > until:
            raise NotStarted(said)
        time.sleep(0.2)
    supervisor = found["web"].parent()
    return found if supervisor is None else {**found, "supervisor": supervisor}


def processes_of(place: Place) -> dict[str, Callable[[], float]]:
    """Of each process of a running product, by name, how to ask for the processor seconds that it has taken."""
    found = supervised(place.source, place.environ)
    return {name: functools.partial(_processor, name, process) for name, process in found.items()}


def _family(name: str, process: psutil.Process) -> list[psutil.Process]:
    """The children that belong to it: PostgreSQL's. Others are counted by their own names."""
    return process.children(recursive=True) if name == "postgres" else []


def _processor(name: str, process: psutil.Process) -> float:
    total = 0.0
    for each in (process, *_family(name, process)):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = each.cpu_times()
            total += spent.user + spent.system
    return total


def _resident(name: str, process: psutil.Process) -> int:
    total = int(process.memory_info().rss)
    for child in _family(name, process):
        with contextlib.suppress(psutil.NoSuchProcess):
            # They share its buffers, which would be counted once for each.
            total += child.memory_full_info().uss
    return total


def ask(
    url: str, key: str, body: dict[str, Any] | None = None, *, method: str | None = None, seconds: float = 60
) -> dict[str, Any]:
    """The JSON answer. Raises `HTTPError` when it is an error."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 400) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise NotStarted(f"{log.stem} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
