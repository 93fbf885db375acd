"""Stores with a successor each: Valkey, its replica and three Sentinels; Debian's PostgreSQL and its standby. All with passwords."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks.product import NotStarted, free_port
from ollamamax.embedded import valkey

PASSWORD, SENTINELS_PASSWORD = "of-the-servers", "of-the-sentinels"
SERVICE = "bus"
DOWN_MILLISECONDS = 1000
"""After which Sentinels take a silent server for gone."""
PATIENCE = 30.0


def programs() -> Path | None:
    """The folder of Debian's PostgreSQL: that of the wheel lacks pg_basebackup."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup"))
    return found[-1].parent if found else None


def wait(is_so: Callable[[], bool], what: str) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    while True:
        try:
            if is_so():
                return time.monotonic() - began
        except (redis.RedisError, psycopg.Error):
            pass
        if time.monotonic() - began > PATIENCE:
            raise NotStarted(f"{what}: not within {PATIENCE:g} s")
        time.sleep(0.05)


class Bus:
    """Valkey: ``ports`` of the first primary and of its replica."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.ports = [free_port(), free_port()]
        self.sentinels = [free_port() for _ in range(3)]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        for port in self.ports:
            (folder / str(port)).mkdir()
        self.start(self.ports[0])
        self.start(self.ports[1], "--replicaof", f"127.0.0.1 {self.ports[0]}")
        wait(lambda: self.info(self.ports[1])["master_link_status"] == "up", "a replica that follows")
        for port in self.sentinels:
            file = folder / f"sentinel-{port}.conf"
            lines = [
                f"port {port}",
                "bind 127.0.0.1",
                f"dir {folder}",
                f"requirepass {SENTINELS_PASSWORD}",
                f"sentinel sentinel-pass {SENTINELS_PASSWORD}",
                f"sentinel monitor {SERVICE} 127.0.0.1 {self.ports[0]} 2",
                f"sentinel auth-pass {SERVICE} {PASSWORD}",
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_MILLISECONDS}",
                f"sentinel failover-timeout {SERVICE} 10000",
            ]
            file.write_text("\n".join(lines) + "\n")
            self._run(port, str(file), "--sentinel")
        wait(lambda: all(map(self._knows, self.sentinels)), "Sentinels that know each other and the replica")

    @property
    def url(self) -> str:
        listed = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://default:{PASSWORD}@{listed}/{SERVICE}/0?sentinel_password={SENTINELS_PASSWORD}"

    @property
    def nodes_url(self) -> str:
        """Without user and password of the servers."""
        return self.url.replace(f"default:{PASSWORD}@", "")

    def start(self, port: int, *more: str) -> None:
        command = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder / str(port)), "--save", ""]
        passwords = ["--requirepass", PASSWORD, "--masterauth", PASSWORD]
        self._run(port, *command, "--appendonly", "yes", *passwords, "--repl-diskless-sync-delay", "0", *more)

    def _run(self, port: int, *arguments: str) -> None:
        log = (self.folder / f"{port}.log").open("ab")
        self.processes[port] = subprocess.Popen(
            [str(valkey.program()), *arguments], stdout=log, stderr=subprocess.STDOUT
        )

    def client(self, port: int) -> redis.Redis:
        return redis.Redis(port=port, password=PASSWORD, socket_timeout=2)

    def info(self, port: int) -> dict[str, Any]:
        with self.client(port) as client:
            told: dict[str, Any] = client.info("replication")
            return told

    def _knows(self, port: int) -> bool:
        with redis.Redis(port=port, password=SENTINELS_PASSWORD, socket_timeout=2) as client:
            told: Any = client.sentinel_master(SERVICE)
            return int(told["num-other-sentinels"]) == 2 and int(told["num-slaves"]) == 1

    def kill(self, port: int) -> None:
        self.processes[port].kill()
        self.processes[port].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


class Database:
    """PostgreSQL: ``ports`` of the first primary, and of the standby for whose word it waits before it says that something is kept."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self._bin = bin_folder
        self.folder = folder
        folder.mkdir(mode=0o711)
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        self.ports = [free_port(), free_port()]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        first, second = self.ports
        (folder / "password").write_text(PASSWORD)
        self._finish(
            "initdb", "-D", self.data(first), "-U", "ollamamax", "-A", "scram-sha-256", "-E", "UTF8",
            "--pwfile", folder / "password", "--no-sync",
        )  # fmt: skip
        with (self.data(first) / "pg_hba.conf").open("a") as rules:
            rules.write("host replication all 127.0.0.1/32 scram-sha-256\n")
        self.start(first)
        wait(lambda: self.is_writable(first), "PostgreSQL")
        followed = f"host=127.0.0.1 port={first} user=ollamamax password={PASSWORD} application_name=standby"
        self._finish("pg_basebackup", "-D", self.data(second), "-R", "-d", followed, "-c", "fast", "--no-sync")
        self.start(second)
        wait(lambda: self._is_followed(first), "a standby that follows")
        with self.connect(first) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            admin.execute("SELECT pg_reload_conf()")

    @property
    def url(self) -> str:
        listed = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"postgresql://ollamamax:{PASSWORD}@{listed}/postgres"

    def data(self, port: int) -> Path:
        return self.folder / str(port)

    def one(self, port: int) -> str:
        return f"postgresql://ollamamax:{PASSWORD}@127.0.0.1:{port}/postgres"

    def connect(self, port: int) -> psycopg.Connection[Any]:
        return psycopg.connect(self.one(port), autocommit=True, connect_timeout=2)

    def is_writable(self, port: int) -> bool:
        with self.connect(port) as connection:
            return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)

    def _is_followed(self, port: int) -> bool:
        with self.connect(port) as connection:
            found = connection.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
            return found.fetchone() == (1,)

    def start(self, port: int, *more: str) -> None:
        settings = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        self.processes[port] = subprocess.Popen(
            [str(self._bin / "postgres"), "-D", str(self.data(port)), *settings, "-c", "max_connections=200", "-c", "fsync=off", *more],
            cwd="/", stdout=(self.folder / f"{port}.log").open("ab"), stderr=subprocess.STDOUT, **self._as,
        )  # fmt: skip

    def promote(self, port: int) -> None:
        self._finish("pg_ctl", "promote", "-D", self.data(port), "-w")

    def _finish(self, name: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [str(self._bin / name), *map(str, arguments)], cwd="/", capture_output=True, text=True, **self._as
        )
        if done.returncode:
            raise NotStarted(f"{name}: {done.stderr[-2000:]}")

    def kill(self, port: int) -> None:
        """With every process of it: none may write any more."""
        process = self.processes[port]
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGQUIT)
                    process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
