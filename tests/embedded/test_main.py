"""The command line: what went wrong is one sentence on standard error and status 1, never a traceback."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from ollamamax.embedded import up
from ollamamax.embedded.__main__ import main
from ollamamax.embedded.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("OLLAMAMAX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DETACH", raising=False)
    return Home(tmp_path / "home")


def test_nothing_runs_yet(home: Home) -> None:
    assert CliRunner().invoke(main, ["down"]).output == "OllamaMax does not run.\n"
    result = CliRunner().invoke(main, ["status"])
    assert (result.exit_code, result.output) == (3, f"OllamaMax does not run (home: {home.folder}).\n")
    assert CliRunner().invoke(main, ["reset"]).output == "There is nothing to delete.\n"
    assert not home.folder.exists()


def test_a_wrong_setting_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "no port")
    result = CliRunner().invoke(main, ["up"])
    assert isinstance(result.exception, SystemExit)
    assert "PORT must be a whole number (it is 'no port')" in str(result.exception)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left", "/x"), "The disk of /x is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "This user may not write to /x"),
        (subprocess.CalledProcessError(1, ["initdb"], stderr="no luck"), "initdb failed: no luck"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(
    home: Home, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def refuse(home: Home, **_: object) -> int:
        raise error

    monkeypatch.setattr(up, "up", refuse)
    result = CliRunner().invoke(main, ["up", "--detach"])
    assert isinstance(result.exception, SystemExit)
    assert str(result.exception).startswith(sentence)


def test_a_folder_where_nothing_may_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAMAX_HOME", "/proc/ollamamax")
    result = CliRunner().invoke(main, ["up"])
    assert isinstance(result.exception, SystemExit)
    assert "/proc/ollamamax" in str(result.exception)
