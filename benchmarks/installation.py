"""An installation whose processes are started one by one, each of a release of its own: servers, a door, web, controller, nodes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.door import Backend, Door
from benchmarks.product import NOT_OURS, NotStarted, end, free_port
from ollamamax.embedded import postgres, valkey

PATIENCE = 60.0


@dataclass
class Release:
    """A checkout, whose code is run with the packages of this environment."""

    name: str
    source: Path


@dataclass
class Installation:
    """Servers, the door, and the processes that run now, by name."""

    folder: Path
    environ: dict[str, str]
    door: Door
    stack: contextlib.ExitStack
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    key: str = ""

    def start(self, release: Release, name: str, *command: str, **more: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=release.source,
            env=self.environ | {"PYTHONPATH": str(release.source)} | more,
            stdout=self.log(name).open("ab"),
            stderr=subprocess.STDOUT,
        )
        self.stack.callback(end, process)
        self.processes[name] = process
        return process

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def finish(self, release: Release, name: str, *command: str) -> None:
        """Run what ends by itself. Raises `NotStarted` when it fails."""
        if self.start(release, name, *command).wait(600):
            raise NotStarted(f"{name}:\n{self.log(name).read_text()[-3000:]}")

    async def web(self, release: Release) -> tuple[str, Backend]:
        """Start a web process and wait until the door sends it connections."""
        backend = Backend(free_port())
        name = f"web-{backend.port}"
        process = self.start(release, name, "ollamamax.cli", "web", PORT=str(backend.port))
        self.door.backends.append(backend)
        until = time.monotonic() + PATIENCE
        while not backend.ready:
            if process.poll() is not None or time.monotonic() > until:
                raise NotStarted(f"{name}:\n{self.log(name).read_text()[-3000:]}")
            await asyncio.sleep(0.1)
        return name, backend

    async def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        await asyncio.to_thread(process.wait, 60)

    def node(self, release: Release, name: str) -> None:
        home = str(self.folder / name)
        self.start(release, name, "cluster.worker.cli", "run", "--home", home, "--grace", "15")


@contextlib.contextmanager
def installation(stores: dict[str, str] | None = None) -> Iterator[Installation]:
    """Servers of its own, unless ``stores`` names others, in a folder of its own; all of it is ended and deleted afterwards."""
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="omx-upgrade-", ignore_cleanup_errors=True))
        )
        folder.chmod(0o755)
        if stores is None:
            (folder / "postgres").mkdir()
            database = postgres.TemporaryPostgres(folder / "postgres", free_port())
            stack.callback(database.stop)
            redis = valkey.TemporaryValkey(folder / "valkey", free_port())
            stack.callback(redis.stop)
            stores = {"DATABASE_URL": database.url, "REDIS_URL": redis.url}
        door = Door()
        environ = {name: value for name, value in os.environ.items() if name not in NOT_OURS} | {
            "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(60),
            "OLLAMAMAX_HOME": str(folder / "home"),
            "OLLAMAMAX_PUBLIC_URL": door.url,
            "HOST": "127.0.0.1",
            "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
            **stores,
        }
        yield Installation(folder, environ, door, stack)
