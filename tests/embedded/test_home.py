"""The home keeps its secrets to itself, and what it chose it keeps."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from ollamamax.embedded import home as homes
from ollamamax.embedded.down import recover
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "a home")
    home.create()
    return home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_their_owner_reads_them(home: Home) -> None:
    first = home.secrets()
    assert home.secrets() == first
    assert mode(home.secrets_file) == 0o600
    assert len(first["secret_key"]) >= 50
    assert len(set(first.values())) == 4


def test_two_homes_have_different_secrets(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.create()
    assert set(home.secrets().values()).isdisjoint(other.secrets().values())


def test_nobody_else_lists_the_home(home: Home) -> None:
    assert mode(home.folder) & 0o066 == 0
    assert mode(home.logs) == mode(home.run) == 0o700


def test_a_port_is_remembered(home: Home) -> None:
    assert home.port("postgres") == home.port("postgres")
    assert home.port("postgres") != home.port("valkey")


def test_a_port_that_another_program_took_is_replaced(home: Home) -> None:
    port = home.port("postgres")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        moved = home.port("postgres")
        assert moved != port
    assert home.port("postgres") == moved


def test_the_instance_is_remembered(home: Home) -> None:
    assert home.instance() == home.instance()


def test_only_one_holds_the_lock(home: Home) -> None:
    assert home.lock() is not None
    assert home.lock() is None
    assert home.running() != {}


def test_a_supervisor_socket_never_has_too_long_a_path(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("very-long-name-" * 8))
    deep.create()
    path = deep.socket("supervisor")
    assert deep.socket("supervisor") == path
    assert mode(path.parent) == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    # Who stops it, and who starts it after it was killed, leaves no folder behind.
    recover(deep)
    assert not path.parent.exists()
    assert mode(deep.socket("supervisor").parent) == 0o700
    recover(deep)


def test_a_short_home_holds_its_own_socket() -> None:
    home = Home(Path("/home/somebody/ollamamax/.ollamamax"))
    assert home.socket("supervisor") == home.run / "supervisor.sock"


def test_the_home_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert homes.at({}).folder == tmp_path / ".ollamamax"
    assert homes.at({"OLLAMAMAX_HOME": "x/../y"}).folder == tmp_path / "y"


def test_a_line_break_in_the_name_is_refused() -> None:
    with pytest.raises(Problem, match="line break"):
        homes.at({"OLLAMAMAX_HOME": "/tmp/a\nb"})


def test_a_damaged_file_reads_as_empty(home: Home) -> None:
    home.state_file.write_text("{")
    assert home.state() == {}
    home.state_file.write_text("[]")
    assert home.state() == {}
