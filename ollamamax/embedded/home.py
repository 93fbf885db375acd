"""The folder of one installation on one machine: its secrets, ports, lock, and where its parts lie.

Knows no Django and starts nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamamax.embedded.problem import Problem

# Below the ports that kernels give to outgoing connections, so that a remembered one is rarely taken.
PRIVATE_PORTS = range(15000, 32000)
LONGEST_SOCKET_PATH = 90
"""Kernels take 104 to 108 bytes, and the supervisor adds a few while it creates its socket."""


@dataclass(frozen=True)
class Home:
    folder: Path

    @property
    def secrets_file(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def bootstrap_file(self) -> Path:
        return self.folder / "bootstrap.json"

    @property
    def state_file(self) -> Path:
        """What is remembered between starts: instance, ports, runtime folder."""
        return self.folder / "state.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor as long as it lives; its text says who that is."""
        return self.folder / "lock"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def run(self) -> Path:
        """Files of the running programs; nothing in it outlives a stop."""
        return self.folder / "run"

    @property
    def settings_file(self) -> Path:
        """The settings of what runs."""
        return self.run / "settings.json"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def valkey(self) -> Path:
        return self.folder / "valkey"

    def node(self, number: int) -> Path:
        return self.folder / f"node-{number}"

    def create(self) -> None:
        """Make the folder if need be; `private.secure` shuts what others made."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (self.logs, self.run, self.valkey):
            part.mkdir(mode=0o700, exist_ok=True)

    def is_ours(self) -> bool:
        """Whether this folder was made by `create` and a start; guards what `reset` deletes."""
        return self.state_file.is_file()

    def state(self) -> dict[str, Any]:
        return read_json(self.state_file)

    def remember(self, **facts: Any) -> dict[str, Any]:
        """Add ``facts`` to the state and return all of it."""
        state = self.state() | facts
        write_private(self.state_file, json.dumps(state, indent=2))
        return state

    def instance(self) -> str:
        """A random name of this installation, which marks its processes so that left-over ones are found."""
        known: str | None = self.state().get("instance")
        return known or str(self.remember(instance=secrets.token_hex(8))["instance"])

    def secrets(self) -> dict[str, str]:
        """The installation's secrets, made on the first call."""
        known = read_json(self.secrets_file)
        missing = {"secret_key": 64, "postgres_password": 32, "postgres_runtime_password": 32, "valkey_password": 32}
        if not missing.keys() <= known.keys():
            made = {name: secrets.token_urlsafe(length) for name, length in missing.items()}
            known = made | known
            write_private(self.secrets_file, json.dumps(known, indent=2))
        return known

    def port(self, name: str) -> int:
        """A free port on loopback for ``name``: the one of last time when it still is free."""
        ports: dict[str, int] = self.state().get("ports", {})
        port = ports.get(name)
        if port is None or not is_free(port):
            port = free_port(taken=set(ports.values()))
            self.remember(ports=ports | {name: port})
        return port

    def socket(self, name: str) -> Path:
        """Where ``name`` listens: in the home, or in a private short folder when that path is too long."""
        path = self.run / f"{name}.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        short = Path(self.state().get("runtime") or "/nonexistent")
        if not is_private(short):
            short = Path(tempfile.mkdtemp(prefix="omx-"))
            self.remember(runtime=str(short))
        return short / path.name

    def leave_runtime(self) -> None:
        """Remove the short folder, where `socket` made one: nothing listens there any more."""
        short = Path(self.state().get("runtime") or "/nonexistent")
        if is_private(short):
            shutil.rmtree(short, ignore_errors=True)

    def lock(self) -> int | None:
        """Take the lock; its descriptor, or ``None`` when an installation runs (or starts, or stops) here."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def running(self) -> dict[str, Any]:
        """What the holder of the lock wrote: ``pid``, ``url``; empty when nobody holds it."""
        if not self.lock_file.exists():
            return {}
        descriptor = self.lock()
        if descriptor is None:
            return read_json(self.lock_file) or {"pid": None}
        os.close(descriptor)
        return {}


def at(environ: Mapping[str, str] = os.environ) -> Home:
    """The home that OLLAMAMAX_HOME names."""
    folder = Path(environ.get("OLLAMAMAX_HOME") or ".ollamamax").expanduser().absolute()
    if "\n" in str(folder):
        raise Problem("OLLAMAMAX_HOME holds a line break: name another folder.")
    return Home(Path(os.path.normpath(folder)))


def read_json(file: Path) -> dict[str, Any]:
    """The object in ``file``, or an empty one when there is none."""
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        # The lock is written in place and may be read half-way; every other file is replaced as a whole.
        return {}
    return found if isinstance(found, dict) else {}


def write_private(file: Path, text: str) -> None:
    """Replace ``file`` as a whole, readable by its owner only from the first moment."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def is_private(folder: Path) -> bool:
    """Whether ``folder`` is a real folder of this user that nobody else may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: set[int]) -> int:
    for port in random.SystemRandom().sample(PRIVATE_PORTS, 200):
        if port not in taken and is_free(port):
            return port
    raise Problem("No free port was found on 127.0.0.1: stop programs that hold ports.")
