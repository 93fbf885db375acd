"""Starts the real PostgreSQL (once a run) and Valkey (once a worker) that the tests use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, TypeVar

from ollamamax.embedded import postgres, valkey

T = TypeVar("T")
_MARK = "owner"
_held: list[TextIO] = []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def short_folder(kind: str) -> Path:
    """A new folder for servers, which whoever asks for it removes. What those left who were killed is removed here.

    Not below pytest's own folder: sockets have short paths, and PostgreSQL runs as `nobody` when the tests run as root.
    """
    for mark in Path(tempfile.gettempdir()).glob(f"omx-*/{_MARK}"):
        with contextlib.suppress(OSError), mark.open("r+") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if theirs.read():
                _remove(mark.parent)
    folder = Path(tempfile.mkdtemp(prefix=f"omx-{kind}-"))
    folder.chmod(0o755)
    # Held, by this process alone, for as long as it lives; and told only then.
    ours = (folder / _MARK).open("w")
    fcntl.flock(ours, fcntl.LOCK_EX)
    ours.write("held")
    ours.flush()
    _held.append(ours)
    return folder


def _remove(folder: Path) -> None:
    """With the servers that run there still, and the shared memory that a killed PostgreSQL left."""
    for file in folder.glob("*/postmaster.pid"):
        lines = file.read_text().splitlines()
        postgres.end_leftover(file.parent)
        if len(lines) > 6 and len(segment := lines[6].split()) == 2:
            # Refused while somebody has it; and it is gone where PostgreSQL ended by itself.
            subprocess.run(["ipcrm", "-m", segment[1]], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


class Servers:
    """What this process started, to be stopped by it."""

    def __init__(self) -> None:
        self.folder = short_folder("test")
        self.started: list[postgres.TemporaryPostgres | valkey.TemporaryValkey] = []

    def start(self, *, database: bool) -> None:
        if database and "OMX_TEST_DATABASE_URL" not in os.environ:
            server = self._postgres()
            self.started.append(server)
            os.environ["OMX_TEST_DATABASE_URL"] = server.url
        os.environ.setdefault("OMX_TEST_FOLDER", str(self.folder))  # the first process's, which outlives the others
        os.environ["DATABASE_URL"] = os.environ["OMX_TEST_DATABASE_URL"]
        if "OMX_TEST_REDIS_URL" in os.environ:  # by `make mutants`, whose many runs come one after another
            os.environ["REDIS_URL"] = os.environ["OMX_TEST_REDIS_URL"]
            return
        redis = self._valkey()
        self.started.append(redis)
        os.environ["REDIS_URL"] = redis.url

    def _postgres(self) -> postgres.TemporaryPostgres:
        return self._on_a_free_port("postgres", postgres.TemporaryPostgres)

    def _valkey(self) -> valkey.TemporaryValkey:
        return self._on_a_free_port("valkey", valkey.TemporaryValkey)

    def _on_a_free_port(self, name: str, start: Callable[[Path, int], T]) -> T:
        """On another port when somebody took the first one in the moment between: they are the system's passing ones."""
        for tried in range(3):
            folder = self.folder / f"{name}{tried}"
            folder.mkdir()
            try:
                return start(folder, free_port())
            except ChildProcessError as error:
                if "in use" not in str(error) or tried == 2:
                    raise
        raise AssertionError

    def stop(self) -> None:
        for server in reversed(self.started):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
