"""`make up` from the inside: real servers, web and controller; what goes wrong is said, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ollamamax.embedded import reach, start, supervise
from ollamamax.embedded import up as up_module
from ollamamax.embedded.down import down
from ollamamax.embedded.environment import plan
from ollamamax.embedded.home import Home, write_private
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.up import up
from ollamamax.embedded.welcome import welcome
from tests.servers import free_port

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all, made by the first start: the others go on with its data."""
    folder = tmp_path_factory.mktemp("up") / "a home"
    yield folder
    reach.remove(Home(folder))


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    for name in ("DATABASE_URL", "REDIS_URL", "OLLAMAMAX_SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("NODES", "0")
    home = Home(folder)
    yield home
    down(home)
    assert supervise.marked(home.instance()) == []


@pytest.fixture
def when_it_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something done by another thread just after `up` said that it is ready."""

    def arrange(act: Callable[[], None]) -> None:
        def said(*arguments: Any, **options: Any) -> str:
            threading.Timer(0.3, act).start()
            return welcome(*arguments, **options)

        monkeypatch.setattr(up_module, "welcome", said)

    return arrange


def test_it_returns_when_ready_and_says_that_it_runs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert up(home, detach=True) == 0
    said = capsys.readouterr().out
    assert "OllamaMax is ready" in said
    assert json.loads(home.bootstrap_file.read_text())["admin_password"] in said
    assert up(home, detach=True) == 0
    assert up(home, detach=False) == 1
    assert capsys.readouterr().out.count("already runs at http://127.0.0.1:") == 2


def test_somebody_stops_it_from_elsewhere(
    home: Home, capsys: pytest.CaptureFixture[str], when_it_runs: Callable[[Callable[[], None]], None]
) -> None:
    when_it_runs(lambda: os.kill(home.running()["pid"], signal.SIGTERM))
    assert up(home, detach=False) == 0
    assert capsys.readouterr().out.endswith("Stopped.\n")


def test_a_killed_supervisor_is_told(home: Home, when_it_runs: Callable[[Callable[[], None]], None]) -> None:
    when_it_runs(lambda: os.kill(home.running()["pid"], signal.SIGKILL))
    with pytest.raises(Problem, match="was killed"):
        up(home, detach=False)


def test_ctrl_c_stops_it_in_order(
    home: Home, capsys: pytest.CaptureFixture[str], when_it_runs: Callable[[Callable[[], None]], None]
) -> None:
    when_it_runs(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert up(home, detach=False) == 0
    assert capsys.readouterr().out.endswith("\nStopping ...\nStopped.\n")


def test_a_busy_port_is_told_before_anything_starts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("PORT", str(other.getsockname()[1]))
        with pytest.raises(Problem, match="is used by another program"):
            up(home, detach=True)
    assert home.running() == {}


def test_a_web_process_that_cannot_start_is_told_with_its_reason(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAMAX_TLS_CERT", "/nonexistent.pem")
    monkeypatch.setenv("OLLAMAMAX_TLS_KEY", "/nonexistent.pem")
    with pytest.raises(
        Problem,
        match=r"(?s)web (ended while it started|was not ready after 60 s); the last lines of .*FileNotFoundError",
    ):
        up(home, detach=True)
    assert home.running() == {}


def test_a_database_that_does_not_answer_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://a:b@127.0.0.1:{free_port()}/c")
    with pytest.raises(Problem, match="that DATABASE_URL names does not answer"):
        up(home, detach=True)


def test_tables_that_cannot_be_made_are_told_with_the_reason(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answering server without rights: the statement that failed is in the message."""
    monkeypatch.setattr(start, "module", lambda *_: ["/bin/sh", "-c", "echo no rights >&2; exit 1"])
    with pytest.raises(Problem, match=r"(?s)database could not be prepared.*no rights"):
        up(home, detach=True)


def test_daphne_serves_it_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAMAX_ASGI_SERVER", "daphne")
    assert up(home, detach=True) == 0


def test_gateways_serve_beside_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAMAX_GATEWAY_PORT", str(free_port()))
    monkeypatch.setenv("OLLAMAMAX_GATEWAYS", "2")
    assert up(home, detach=True) == 0
    made = plan(home)
    with urllib.request.urlopen(f"{made.gateway_url}/") as answer:
        assert answer.read() == b"Ollama is running"


def test_a_node_that_joined_follows_a_changed_address(home: Home) -> None:
    identity = home.node(7) / start.IDENTITY
    home.node(7).mkdir()
    known = {"node": "n", "url": "http://127.0.0.1:1", "redis_url": "redis://node-n:secret@127.0.0.1:2/0"}
    write_private(identity, json.dumps(known))
    made = plan(home)
    assert start._bring_up_to_date(home, made, "node-7")
    assert json.loads(identity.read_text()) == {
        "node": "n",
        "url": made.url,
        "redis_url": f"unix://node-n:secret@{quote(str(home.socket('valkey')))}?db=0",
    }
    assert not start._bring_up_to_date(home, made, "node-8")
    others = plan(home, {"REDIS_URL": "rediss://redis.example:1/0"})
    assert start._moved("rediss://node-n:s@redis.example:1/0", others) == "rediss://node-n:s@redis.example:1/0"
