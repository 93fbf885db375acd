"""`ollamamax`: it helps without any setting, and finds the installation that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from ollamamax.cli import COMMANDS, REMOTE
from ollamamax.remote.commands import remote

THEIRS = ("OLLAMAMAX_", "DATABASE_URL", "REDIS_URL", "DJANGO_", "COVERAGE_", "COV_")


def ollamamax(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(THEIRS)}
    return subprocess.run(
        [sys.executable, "-m", "ollamamax.cli", *arguments], cwd=folder, env=environ, capture_output=True, text=True
    )


def test_the_help_lists_every_command_of_ours() -> None:
    apps_of_ours = {"ollamamax.audit", "ollamamax.identity", "ollamamax.processes", "cluster", "models_registry"}
    made = {name for name, app in get_commands().items() if app in apps_of_ours}
    made -= {"bootstrap", "migrate"}  # parts of `prepare`
    listed = {name.split()[0] for name in COMMANDS}
    assert made <= listed
    assert listed - {"gateway"} <= get_commands().keys()
    assert {name for each in REMOTE for name in each.split(", ")} == remote.commands.keys()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",), ("--home", "elsewhere", "--help")])
def test_it_helps_where_nothing_is_set(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = ollamamax(*arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "models add" in done.stdout


@pytest.mark.parametrize("arguments", [("nodes", "--help"), ("help", "nodes"), ("gateway", "--help")])
def test_so_does_every_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = ollamamax(*arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "drain" in done.stdout or "OLLAMAMAX_GATEWAY_PORT" in done.stdout


def test_where_nothing_runs_it_says_what_to_do(tmp_path: Path) -> None:
    done = ollamamax("nodes", "list", folder=tmp_path)
    assert done.returncode == 1
    assert f"Nothing runs in {tmp_path}/.ollamamax: start it with `make up`" in done.stderr
    assert not (tmp_path / ".ollamamax").exists()
