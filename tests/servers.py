"""Starts the real PostgreSQL (once a run) and Valkey (once a worker) that the tests use."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ollamamax.embedded import postgres, valkey

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Servers:
    """What this process started, to be stopped by it."""

    def __init__(self) -> None:
        # World-reachable, because PostgreSQL runs as `nobody` when the tests run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="omx-test-"))
        self.folder.chmod(0o755)
        self.started: list[postgres.TemporaryPostgres | valkey.TemporaryValkey] = []

    def start(self, *, database: bool) -> None:
        if database and "OMX_TEST_DATABASE_URL" not in os.environ:
            server = self._postgres()
            self.started.append(server)
            os.environ["OMX_TEST_DATABASE_URL"] = server.url
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
