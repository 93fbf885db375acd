"""Where Prometheus asks a process, and who is answered there."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ollamamax import env
from ollamamax.observability import start
from ollamamax.observability.exposition import Page
from ollamamax.observability.listener import MetricsListener
from tests.observability.scraped import OPENMETRICS, Scraped
from tests.servers import free_port

TOKEN = "t" * 20


def ask(port: int, path: str = "/metrics", **headers: str) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["content-type"]
    finally:
        connection.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def listening(stack: ExitStack, port: int = 0, token: str = "", folder: Path | None = None) -> int:
    listener = MetricsListener(Page("controller", "1", token), "127.0.0.1", port, folder)
    stack.callback(listener.stop)
    return listener.address[1]


def test_a_process_is_asked_in_both_forms(stack: ExitStack) -> None:
    port = listening(stack)
    for accept in ("text/plain", OPENMETRICS):
        status, body, content_type = ask(port, accept=accept)
        assert status == 200
        page = Scraped.of(body, content_type)
        assert ("openmetrics" in content_type) == (accept == OPENMETRICS)
        assert page.values("ollamamax_build_info", "process") >= {"controller"}
        assert {"process_resident_memory_bytes", "process_open_fds", "ollamamax_leader"} & page.names
    assert ask(port, "/")[0] == 404


def test_who_has_no_token_is_told_nothing(stack: ExitStack) -> None:
    port = listening(stack, token=TOKEN)
    for said in (
        {},
        {"authorization": "Bearer " + "x" * 20},
        {"authorization": TOKEN},
        {"authorization": "Bearer \xff"},
    ):
        status, body, _ = ask(port, **said)
        assert (status, body) == (401, b"")
    assert ask(port, authorization=f"Bearer {TOKEN}", host="anything.example")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "", "]["])
def test_without_a_token_a_page_that_goes_by_a_name_of_its_own_is_told_nothing(stack: ExitStack, host: str) -> None:
    status, body, _ = ask(listening(stack), host=host)
    assert (status, body) == (421, b"")
    for own in ("localhost:9", "127.0.0.1", "[::1]:9"):
        assert ask(listening(stack), host=own)[0] == 200


def test_processes_that_share_a_setting_take_a_port_each_and_say_so(stack: ExitStack, tmp_path: Path) -> None:
    first = listening(stack, free_port(), folder=tmp_path)
    second = listening(stack, first, folder=tmp_path / "other")
    assert first < second <= first + 64
    [told] = json.loads((tmp_path / f"controller-{os.getpid()}.json").read_text())
    assert told == {"targets": [f"127.0.0.1:{first}"], "labels": {"process": "controller"}}
    stack.close()
    assert list(tmp_path.glob("*.json")) == []


def test_what_a_killed_process_left_is_taken_away_by_the_next(stack: ExitStack, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(30)
    (tmp_path / f"web-{gone.pid}.json").write_text("[]")
    (tmp_path / "hand-written.json").write_text("[]")
    (tmp_path / f"web-{os.getppid()}.json").write_text("[]")
    listening(stack, folder=tmp_path)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"hand-written.json", f"web-{os.getppid()}.json", f"controller-{os.getpid()}.json"}


def test_clients_that_say_nothing_do_not_keep_others_out_for_ever(stack: ExitStack) -> None:
    port = listening(stack)
    silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(4)]
    assert ask(port)[0] == 200
    assert silent


def test_a_folder_that_cannot_be_written_and_a_port_that_cannot_be_had_end_no_process(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file")
    read = env.read({"OLLAMAMAX_METRICS_ADDRESS": "127.0.0.1:0"}, only=env.METRICS)
    with start.served("node", read, tmp_path):
        assert start.current is not None
    far = env.read({"OLLAMAMAX_METRICS_ADDRESS": "192.0.2.1:9", "OLLAMAMAX_METRICS_TOKEN": TOKEN}, only=env.METRICS)
    with start.served("node", far, tmp_path):
        pass


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "[::]:9464", "10.0.0.5:9464", "metrics.example:9464"])
def test_beyond_loopback_a_token_is_needed(address: str) -> None:
    with pytest.raises(env.EnvironmentInvalid, match="OLLAMAMAX_METRICS_TOKEN"):
        env.read({"OLLAMAMAX_METRICS_ADDRESS": address}, only=env.METRICS)
    taken = env.read({"OLLAMAMAX_METRICS_ADDRESS": address, "OLLAMAMAX_METRICS_TOKEN": TOKEN}, only=env.METRICS)
    assert taken["OLLAMAMAX_METRICS_ADDRESS"][1] == 9464


@pytest.mark.parametrize("address", ["9464", ":9464", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1:-1"])
def test_an_address_that_is_none_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(env.EnvironmentInvalid, match="must be an address"):
        env.read({"OLLAMAMAX_METRICS_ADDRESS": address}, only=env.METRICS)
