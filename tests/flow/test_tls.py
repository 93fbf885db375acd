"""Every hop over TLS with certificates of one authority, checked on both sides: clients, console, nodes, PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
import redis
import trustme

from ollamamax.embedded import valkey
from tests.flow.test_make_up import MODEL, ROOT, Copy
from tests.servers import free_port

pytestmark = [pytest.mark.flow, pytest.mark.timeout(900)]
PASSWORD = "a-password-of-the-test"


def programs() -> str:
    """The folder of Debian's PostgreSQL, for that from the wheel has no TLS. Without it the test is skipped, but not where `CI` says that it is there."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return str(found[-1].parent)
    if os.environ.get("CI"):
        pytest.fail("Debian's package postgresql is missing.")
    pytest.skip("Debian's postgresql is not installed: it has TLS.")


@dataclass
class Secured:
    """Certificates of one authority below ``folder``, and the servers that want one of everybody who connects."""

    folder: Path
    authority: trustme.CA

    def __post_init__(self) -> None:
        self.authority.cert_pem.write_to_path(self.ca)
        for name in ("server", "client"):
            made = self.authority.issue_cert("localhost", "127.0.0.1", common_name="ollamamax")
            cert, key = self.pair(name)
            cert.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
            key.write_bytes(made.private_key_pem.bytes())
            key.chmod(0o600)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def query(self, ca: str, cert: str, key: str, **more: str) -> str:
        client_cert, client_key = self.pair("client")
        return urlencode({ca: str(self.ca), cert: str(client_cert), key: str(client_key), **more})

    @contextlib.contextmanager
    def postgres(self, bin_folder: str) -> Iterator[str]:
        user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
        run_as: Any = {} if user is None else {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
        # Not in pytest's folder, which is closed to the server's user.
        with tempfile.TemporaryDirectory(prefix="omx-tls-") as place:
            yield from self._postgres(bin_folder, Path(place), user, run_as)

    def _postgres(self, bin_folder: str, place: Path, user: int | None, run_as: Any) -> Iterator[str]:
        port, data = free_port(), place / "postgres"
        place.chmod(0o711)
        data.mkdir(mode=0o700)
        (place / "password").write_text(PASSWORD)
        for name in ("server.pem", "server.key", "ca.pem"):
            shutil.copy(self.folder / name, place / f"postgres-{name}")
        for file in (data, *place.glob("postgres-*"), place / "password"):
            if user is not None:
                os.chown(file, user, user)
            if file.name.endswith(".key"):
                file.chmod(0o600)
        made: list[str | Path] = [
            f"{bin_folder}/initdb",
            "-D",
            data,
            "-U",
            "ollamamax",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--pwfile",
        ]
        subprocess.run([*made, place / "password"], check=True, capture_output=True, cwd="/", **run_as)
        (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256 clientcert=verify-ca\n")
        settings = {
            "port": str(port), "listen_addresses": "localhost", "unix_socket_directories": "", "ssl": "on", "fsync": "off",
            "ssl_cert_file": str(place / "postgres-server.pem"), "ssl_key_file": str(place / "postgres-server.key"),
            "ssl_ca_file": str(place / "postgres-ca.pem"),
        }  # fmt: skip
        command = [
            f"{bin_folder}/postgres",
            "-D",
            str(data),
            *(x for k, v in settings.items() for x in ("-c", f"{k}={v}")),
        ]
        with running(command, signal.SIGINT, **run_as):
            yield f"localhost:{port}/postgres?" + self.query("sslrootcert", "sslcert", "sslkey", sslmode="verify-full")

    @contextlib.contextmanager
    def redis(self) -> Iterator[str]:
        """Valkey from its wheel, which has no TLS, behind an end of TLS: Debian's Redis is older than what nodes' rights need."""
        plain = free_port()
        (self.folder / "users.acl").write_text(f"user default on >{PASSWORD} ~* &* +@all\n")
        options = {
            "port": str(plain),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "aclfile": str(self.folder / "users.acl"),
        }
        command = [str(valkey.program()), *(x for k, v in options.items() for x in (f"--{k}", v))]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*self.pair("server"))
        with running(command, signal.SIGTERM), TlsEnd(context, plain) as end:
            yield f"localhost:{end.port}/0?" + self.query("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class TlsEnd:
    """Takes connections over TLS, in a thread of its own, and gives what they say to a port of this machine."""

    def __init__(self, context: ssl.SSLContext, to: int) -> None:
        self.port = 0
        self._context, self._to = context, to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> TlsEnd:
        self._thread.start()
        serving = asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=self._context)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(_copy(reader, back), _copy(there, writer), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


@contextlib.contextmanager
def running(command: list[str], stop: signal.Signals, **run_as: Any) -> Iterator[None]:
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **run_as)
    try:
        yield
    finally:
        process.send_signal(stop)
        process.wait(20)


def wait(ready: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            ready()
        except (psycopg.OperationalError, redis.ConnectionError, redis.BusyLoadingError):
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


class SecuredCopy(Copy):
    """Runs in the clone itself, with a home of its own."""

    extra: dict[str, str]

    @property
    def environ(self) -> dict[str, str]:
        return super().environ | self.extra


def test_every_hop_is_encrypted_and_both_ends_are_checked(tmp_path: Path) -> None:
    bin_folder = programs()
    secured = Secured(tmp_path, trustme.CA())
    with secured.postgres(bin_folder) as postgres, secured.redis() as bus:
        owner, database = f"postgresql://ollamamax:{PASSWORD}@{postgres}", f"postgresql://runtime:{PASSWORD}@{postgres}"
        redis_url = f"rediss://default:{PASSWORD}@{bus}"
        wait(lambda: psycopg.connect(owner).close())
        wait(redis.Redis.from_url(redis_url).ping)
        # Without a certificate nobody is let in.
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"{owner.partition('?')[0]}?sslmode=require", sslcert="/none", sslkey="/none")
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(redis_url.partition("?")[0], ssl_ca_certs=str(secured.ca)).ping()
        copy = SecuredCopy(ROOT, free_port(), str(tmp_path / "home"))
        cert, key = secured.pair("server")
        copy.extra = {
            "DATABASE_OWNER_URL": owner, "DATABASE_URL": database, "REDIS_URL": redis_url,
            "OLLAMAMAX_TLS_CERT": str(cert), "OLLAMAMAX_TLS_KEY": str(key),
            "OLLAMAMAX_PUBLIC_URL": f"https://localhost:{copy.port}", "SSL_CERT_FILE": str(secured.ca),
            "OLLAMAMAX_HOME": str(tmp_path / "home"),
        }  # fmt: skip
        try:
            copy.make("up", "DETACH=1", seconds=400)
            facts = copy.bootstrap()
            asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
            request = urllib.request.Request(
                f"https://localhost:{copy.port}/v1/chat/completions", json.dumps(asked).encode(),
                {"Authorization": f"Bearer {facts['api_key']}", "Content-Type": "application/json"},
            )  # fmt: skip
            trusting = ssl.create_default_context(cafile=secured.ca)
            with urllib.request.urlopen(request, timeout=60, context=trusting) as answer:
                assert json.load(answer)["choices"][0]["message"]
                assert "max-age" in answer.headers.get("strict-transport-security", "max-age")
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(f"https://localhost:{copy.port}/healthz", timeout=10)  # of an unknown authority
            with psycopg.connect(owner) as connected:
                plain = connected.execute(
                    "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND backend_type = 'client backend'"
                ).fetchone()
                users = {
                    name
                    for (name,) in connected.execute(
                        "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename IS NOT NULL"
                    )
                }
            assert plain == (0,)
            assert "runtime" in users
        finally:
            copy.make("reset", "YES=1")
