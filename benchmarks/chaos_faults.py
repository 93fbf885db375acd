"""The faults of the chaos suite: how each is brought about and ended on one machine, and what is expected of the installation meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from benchmarks.fleet import Fleet, Part
from benchmarks.product import NotStarted, Place, ask, supervised
from benchmarks.rough_network import RoughProxy

HOSTS_BLOBS = "node-of-blobs"
SMALL_DISK = "node-3"
DISK_MEBIBYTES = 32
AHEAD = 3600
PATIENCE = 180.0


@dataclass
class Site:
    """A fleet whose nodes reach Redis through proxies, of which ``node-3`` has a small disk (where one can be mounted), and one more node with llama.cpp."""

    place: Place | None = None
    fleet: Fleet | None = None
    proxies: list[RoughProxy] = field(default_factory=list)
    has_small_disk: bool = False

    @property
    def made(self) -> Fleet:
        assert self.fleet is not None
        return self.fleet

    @property
    def folder(self) -> Path:
        assert self.place is not None
        return self.place.folder

    def prepare(self, place: Place) -> None:
        """Before anything runs: the small disk."""
        self.place = place
        disk = place.folder / SMALL_DISK
        disk.mkdir()
        options = f"size={DISK_MEBIBYTES}m,mode=0700"
        with contextlib.suppress(OSError):
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, check=False
            )
            self.has_small_disk = done.returncode == 0
        if self.has_small_disk:
            place.stack.callback(subprocess.run, ["umount", str(disk)], check=True)

    def redis_of(self, url: str) -> str:
        """A proxy of its own for each node that joins."""
        parts = urlsplit(url)
        assert self.place is not None
        proxy = self.place.stack.enter_context(RoughProxy(parts.port or 6379, seed=len(self.proxies)))
        self.proxies.append(proxy)
        before = parts.netloc.rpartition(":")[0]
        return urlunsplit(parts._replace(netloc=f"{before}:{proxy.port}"))

    def process(self, name: str) -> psutil.Process:
        """One that `up` supervises, as it is now. Raises `NotStarted`."""
        assert self.place is not None
        return supervised(self.place.source, self.place.environ)[name]

    def node_ahead(self, name: str) -> subprocess.Popen[bytes]:
        assert self.place is not None
        home = str(self.folder / name)
        return self.place.start(name, "benchmarks.shifted", str(AHEAD), "cluster.worker.cli", "run", "--home", home)

    def join_blobs(self) -> None:
        """A node of llama.cpp, and wait until it has the bundled model. Raises `NotStarted`."""
        assert self.place is not None
        made, home = self.made, str(self.folder / HOSTS_BLOBS)
        token = ask(f"{made.url}/api/v1/nodes/tokens", made.key, {"expires_in": 600, "max_uses": 1})["token"]
        joining = self.place.start(
            "join-blobs", "cluster.worker.cli", "join", made.url, "--token", token, "--engine", "llamacpp", "--slots", "2", "--name",
            HOSTS_BLOBS, "--home", home, "--redis-url", made.environ["OLLAMAMAX_NODE_REDIS_URL"],
        )  # fmt: skip
        if joining.wait(PATIENCE):
            raise NotStarted(self.place.log("join-blobs").read_text()[-2000:])
        self.place.start(HOSTS_BLOBS, "cluster.worker.cli", "run", "--home", home)
        until(lambda: bool(self.blobs()) and self.blobs_are_whole(), "a copy of the bundled model")

    def blobs(self) -> list[Path]:
        folder = self.folder / HOSTS_BLOBS / "blobs"
        return sorted((each for each in folder.rglob("*") if each.is_file() and len(each.name) >= 64), key=_size)

    def blobs_are_whole(self) -> bool:
        """Whether the node says that it has its model, and its bytes are those that their name tells."""
        state = self.telemetry(HOSTS_BLOBS)
        ready = any(model["state"] in ("ready", "loaded") for model in (state or {}).get("models", []))
        return ready and all(_is_right(blob) for blob in self.blobs()[-1:])

    def telemetry(self, name: str) -> dict[str, Any] | None:
        nodes = ask(f"{self.made.url}/api/v1/nodes?limit=100", self.made.key)["results"]
        found: dict[str, Any] | None = next(each["telemetry"] for each in nodes if each["name"] == name)
        return found

    def incidents(self) -> dict[str, str]:
        """Kinds by id."""
        found = ask(f"{self.made.url}/api/v1/incidents?limit=200", self.made.key, seconds=20)["results"]
        return {each["id"]: each["kind"] for each in found}


def until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Seconds until it was so. Raises `NotStarted`."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(OSError, LookupError):
            if is_so():
                return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise NotStarted(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)


Fault = Callable[[Site, int], contextlib.AbstractContextManager[None]]
"""Lasts as long as its context; the number chooses whom it befalls."""


@dataclass(frozen=True)
class Trial:
    """``lost``: the share of requests that may be lost before the first byte, after the two retries of the official clients. ``recovery``: seconds from the
    beginning of the fault until no request is disturbed any more, at most. ``recovered``: what else is waited for, and is timed instead of requests."""

    name: str
    hypothesis: str
    fault: Fault
    seconds: float = 8.0
    lost: float = 0.0
    recovery: float = 10.0
    recovered: Callable[[Site], bool] | None = None
    needs_small_disk: bool = False


def _pick(parts: dict[str, Part], number: int) -> Part:
    return [parts[name] for name in sorted(parts)][number % len(parts)]


@contextlib.contextmanager
def killed(part: Part) -> Iterator[None]:
    part.kill()
    try:
        yield
    finally:
        part.restart()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@contextlib.contextmanager
def ended(site: Site, name: str, number: int) -> Iterator[None]:
    """Its supervisor starts it again."""
    site.process(name).send_signal(number)
    yield


@contextlib.contextmanager
def rough(site: Site, number: int, **how: Any) -> Iterator[None]:
    network = site.proxies[number % len(site.proxies)].network
    before = {name: getattr(network, name) for name in how}
    for name, value in how.items():
        setattr(network, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(network, name, value)


@contextlib.contextmanager
def corrupted(site: Site, _: int) -> Iterator[None]:
    """A byte in the middle of the largest blob is another one; only the node itself makes it right again."""
    blob = site.blobs()[-1]
    place = blob.stat().st_size // 2
    mode = blob.stat().st_mode
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0xFF]))
    blob.chmod(mode)
    yield


@contextlib.contextmanager
def filled(site: Site, _: int) -> Iterator[None]:
    file = site.folder / SMALL_DISK / "filler"
    try:
        with file.open("ab", buffering=0) as out, contextlib.suppress(OSError):
            while shutil.disk_usage(file.parent).free:
                out.write(bytes(1 << 20))
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def skewed(site: Site, number: int) -> Iterator[None]:
    """Stopped as an operator does, and started with another clock; back likewise."""
    part = _pick(site.made.nodes, number)
    _stop(part)
    part.process = site.node_ahead(part.name)
    try:
        yield
    finally:
        _stop(part)
        part.restart()


def _stop(part: Part) -> None:
    part.process.terminate()
    try:
        part.process.wait(45)
    except subprocess.TimeoutExpired:
        part.kill()


def _size(file: Path) -> int:
    return file.stat().st_size


def _is_right(blob: Path) -> bool:
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() in blob.name


TRIALS = (
    Trial("agent killed", "no request is lost, and what ran there goes on elsewhere", lambda s, n: killed(_pick(s.made.nodes, n))),
    Trial(
        "agent frozen", "no request is lost, and what ran there goes on elsewhere",
        lambda s, n: frozen(_pick(s.made.nodes, n).process.pid),
    ),
    Trial("engine killed", "no request is lost, and what ran there goes on elsewhere", lambda s, n: killed(_pick(s.made.engines, n))),
    Trial(
        "engine frozen", "no request is lost; what hangs there goes on elsewhere once it counts as hung",
        lambda s, n: frozen(_pick(s.made.engines, n).process.pid), seconds=20.0, recovery=25.0,
    ),
    Trial(
        "gateway killed", "streams through it break; nothing that a client tries again is lost",
        lambda s, n: killed(_pick(s.made.gateways, n)),
    ),
    Trial(
        "gateway frozen", "its clients wait; nothing is lost", lambda s, n: frozen(_pick(s.made.gateways, n).process.pid),
        seconds=5.0, recovery=8.0,
    ),
    Trial("controller killed", "no request notices", lambda s, _: ended(s, "controller", signal.SIGKILL), recovery=3.0),
    Trial("controller frozen", "no request notices", lambda s, _: frozen(s.process("controller").pid), recovery=3.0),
    Trial(
        "network slow (50 ms each way between a node and Redis)", "answers begin later; none is lost",
        lambda s, n: rough(s, n, delay=0.05), recovery=10.0,
    ),
    Trial(
        "network lossy (10 % of the segments between a node and Redis)", "tokens come in bursts; none is lost",
        lambda s, n: rough(s, n, loss=0.1), recovery=10.0,
    ),
    Trial(
        "network cut (between a node and Redis)", "no request is lost, and what ran there goes on elsewhere",
        lambda s, n: rough(s, n, is_cut=True),
    ),
    Trial(
        "blob corrupted (a byte of a node's copy)", "no request notices; the node has the copy anew within 60 s", corrupted,
        seconds=2.0, recovery=60.0, recovered=Site.blobs_are_whole,
    ),
    Trial("disk full (a node's home)", "no request notices", filled, recovery=3.0, needs_small_disk=True),
    Trial("clock skewed (a node's, an hour ahead)", "no request notices", skewed),
    Trial(
        "Redis frozen", "requests wait; none is lost", lambda s, _: frozen(int(s.made.redis.info("server")["process_id"])),
        seconds=6.0, recovery=12.0,
    ),
    Trial("Postgres restarted", "no request notices", lambda s, _: ended(s, "postgres", signal.SIGINT), recovery=3.0),
)  # fmt: skip
"""In the order of the table."""
