"""Data is deleted only when somebody said so, and only what is ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.reset import reset


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    home.instance()
    return home


def test_nothing_is_deleted_without_an_answer(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(Problem, match="make reset YES=1"):
        reset(home, yes=False)
    assert home.folder.exists()


@pytest.mark.parametrize(("answer", "gone"), [("no", False), ("", False), ("yes", True)])
def test_the_answer_counts(home: Home, monkeypatch: pytest.MonkeyPatch, answer: str, gone: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert reset(home, yes=False) == (0 if gone else 1)
    assert home.folder.exists() is not gone


def test_a_folder_that_is_not_ours_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    with pytest.raises(Problem, match="was not made by OllamaMax"):
        reset(Home(tmp_path), yes=True)
    assert (tmp_path / "letters").exists()


def test_nothing_to_delete_is_no_error(tmp_path: Path) -> None:
    assert reset(Home(tmp_path / "none"), yes=True) == 0


def test_the_runtime_folder_goes_too(home: Home, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    home.remember(runtime=str(runtime))
    assert reset(home, yes=True) == 0
    assert not runtime.exists()
