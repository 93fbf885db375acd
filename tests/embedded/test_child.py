"""A child gets what it needs and nothing more before it becomes its program."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ollamamax.embedded import child, postgres, processes
from ollamamax.embedded.home import Home


class Became(BaseException):
    """Instead of another program."""


@pytest.fixture
def become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a child up to the point where it would be replaced; the program and arguments it would become."""

    def run(**facts: Any) -> tuple[str, list[str]]:
        became: list[tuple[str, list[str]]] = []

        def execv(program: str, arguments: list[str]) -> None:
            became.append((program, arguments))
            raise Became

        monkeypatch.setattr(os, "execv", execv)
        default: dict[str, Any] = {
            "command": ["/bin/x", "a b"],
            "folder": str(tmp_path),
            "user": None,
            "without": [],
            "environment": {},
            "nice": 0,
            "keeps": "",
        }
        file = tmp_path / "processes.json"
        file.write_text(json.dumps({"x": {**default, "on_orphaned": 0, **facts}}))
        monkeypatch.chdir("/")
        with pytest.raises(Became):
            child.main(str(file), "x")
        return became[0]

    return run


def test_it_becomes_its_program_in_its_folder(become: Any, tmp_path: Path) -> None:
    assert become() == ("/bin/x", ["/bin/x", "a b"])
    assert Path.cwd() == tmp_path


def test_it_forgets_what_it_must_not_know(become: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    monkeypatch.setenv("SAID", "before")
    become(without=["A_SECRET", "NOT_THERE"], environment={"SAID": "after"})
    assert "A_SECRET" not in os.environ
    assert os.environ["SAID"] == "after"


def test_it_may_open_many_files(become: Any) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        become()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_other_user_with_no_group_left(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    show = ["/bin/sh", "-c", "id -u; id -g; id -G"]
    facts = {"command": show, "folder": "/", "user": 65534, "without": [], "environment": {}}
    file = tmp_path / "processes.json"
    file.write_text(json.dumps({"x": {**facts, "nice": 0, "keeps": "", "on_orphaned": int(signal.SIGTERM)}}))
    start = [sys.executable, "-I", "-S", child.__file__, str(file), "x"]
    assert subprocess.run(start, capture_output=True, text=True).stdout.split() == ["65534"] * 3


def test_servers_and_nodes_know_no_secret_of_the_control_plane(tmp_path: Path) -> None:
    home = Home(tmp_path)
    command = postgres.command(tmp_path, 1)
    for process in (
        processes.postgres(tmp_path, command, None),
        processes.valkey(home, command),
        processes.node(home, 1),
    ):
        assert set(processes.SECRETS) <= set(process.for_child()["without"])
    for process in (processes.web(home), processes.controller(home), processes.batches(home)):
        assert process.for_child()["without"] == processes.OWNER


def test_a_server_waits_for_room_for_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([0, child.LEAST_ROOM - 1, child.LEAST_ROOM])
    asked: list[str] = []

    def disk_usage(folder: str) -> Any:
        asked.append(folder)
        return SimpleNamespace(free=next(free))

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    monkeypatch.setattr("time.sleep", lambda _: None)
    child.wait_for_room(str(tmp_path))
    assert asked == [str(tmp_path)] * 3
    command = postgres.command(tmp_path, 1)
    home = Home(tmp_path)
    assert processes.postgres(tmp_path, command, None).for_child()["keeps"] == str(tmp_path)
    assert processes.valkey(home, command).for_child()["keeps"] == str(home.valkey)
