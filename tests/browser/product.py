"""The product's own processes on servers of their own: web, controller and one node, whose engine is the stub."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ollamamax.embedded import postgres, valkey
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
NODE = "browser-test-node"
SLOTS = 2


@dataclass
class Product:
    """``facts`` is what bootstrap.json holds: url, admin_email, admin_password, api_key."""

    folder: Path
    url: str
    environ: dict[str, str]
    facts: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    servers: list[postgres.TemporaryPostgres | valkey.TemporaryValkey] = field(default_factory=list)

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=self.environ, stdout=log, stderr=log
        )

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def web(self) -> None:
        self.start("web", "manage.py", "web")
        until(lambda: self.answers("/healthz"), self)

    def answers(self, path: str, *, key: bool = False) -> bool:
        try:
            with urllib.request.urlopen(self._request(path, key=key), timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._request(path, key=True), timeout=60) as answer:
            return json.load(answer)

    def _request(self, path: str, *, key: bool) -> urllib.request.Request:
        headers = {"Authorization": f"Bearer {self.facts['api_key']}"} if key else {}
        return urllib.request.Request(self.url + path, headers=headers)

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        nodes = [name for name in self.processes if name.startswith("node ")]
        for name in [*nodes, "controller", "web", "engine"]:
            if name in self.processes:
                self.stop(name)
        for server in reversed(self.servers):
            server.stop()


def until(condition: Callable[[], bool], product: Product, seconds: float = 120) -> None:
    """Wait for a condition; fails with the processes' logs when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        ended = [name for name, process in product.processes.items() if process.poll() is not None]
        if time.monotonic() > end or ended:
            raise AssertionError(f"not ready (ended: {ended})\n{product.logs()}")
        time.sleep(0.1)


def start(folder: Path, **more: str) -> Product:
    """The whole product, with a node that has joined and whose model can be asked. ``more``: settings besides."""
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    port, engine_port = free_port(), free_port()
    database = postgres.TemporaryPostgres(folder / "postgres", free_port())
    redis = valkey.TemporaryValkey(folder / "valkey", free_port())
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OLLAMAMAX_", "DJANGO_"))} | {
        "DATABASE_URL": database.url,
        "REDIS_URL": redis.url,
        "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(60),
        "OLLAMAMAX_HOME": str(folder / "home"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
        **more,
    }
    product = Product(folder, f"http://127.0.0.1:{port}", environ, servers=[database, redis])
    try:
        product.manage("collectstatic", "--noinput", "--verbosity", "0")
        product.manage("prepare")
        product.facts = json.loads((folder / "home" / "bootstrap.json").read_text())
        product.start(
            "engine", "-m", "tests.fakes.stub_engine", "--port", str(engine_port), "--token-ms", "40", "--tokens", "100"
        )
        product.web()
        product.start("controller", "manage.py", "controller")
    except BaseException:
        product.end()
        raise
    product.environ["ENGINE_URL"] = f"http://127.0.0.1:{engine_port}"
    return product


def join_node(
    product: Product, *, token: str, name: str = NODE, engine: str = "openai", engine_url: str = "", slots: int = SLOTS
) -> None:
    """Join a host as an administrator would, with a token from the console; without ``engine_url`` its engine is the stub."""
    home = str(product.folder / name)
    joined = subprocess.run(
        [
            sys.executable, "-m", "cluster.worker.cli", "join", product.url, "--home", home, "--token", token,
            "--engine", engine, "--engine-url", engine_url or product.environ["ENGINE_URL"], "--name", name,
            "--slots", str(slots),
        ],
        cwd=ROOT, env=product.environ, capture_output=True, text=True,
    )  # fmt: skip
    assert joined.returncode == 0, joined.stderr
    product.start(f"node {name}", "-m", "cluster.worker.cli", "run", "--home", home)


def model_of(product: Product) -> str:
    """The name that the stub's model got, once the control plane knows it."""
    names: list[str] = []

    def known() -> bool:
        names[:] = [model["id"] for model in product.get("/v1/models")["data"] if "stub" in model["id"]]
        return bool(names)

    until(known, product)
    return names[0]
