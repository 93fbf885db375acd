"""The first request that is printed works when it is pasted, whatever the folder is called."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ollamamax.embedded.environment import plan
from ollamamax.embedded.home import Home, write_private
from ollamamax.embedded.welcome import welcome


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "it's a $home")
    home.create()
    facts = {"url": "http://old", "admin_email": "a@b.example", "admin_password": "pass-word", "api_key": "omx_a_b"}
    write_private(home.bootstrap_file, json.dumps(facts))
    return home


def pasted(text: str) -> list[str]:
    """What a shell gives curl when the line is pasted."""
    (line,) = [line.split("Try", 1)[1] for line in text.splitlines() if " Try " in line]
    script = 'curl() { printf "%s\\n" "$@"; }; ' + line
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_line_is_complete_when_pasted(home: Home) -> None:
    given = pasted(welcome(home, plan(home, {}), 1, first=True, detach=True))
    assert given[0] == "http://127.0.0.1:8000/v1/chat/completions"
    assert "Authorization: Bearer omx_a_b" in given
    assert json.loads(given[-1])["model"] == "smollm2:135m"


def test_the_password_is_shown_at_the_first_start_only(home: Home) -> None:
    assert "pass-word" in welcome(home, plan(home, {}), 1, first=True, detach=True)
    later = welcome(home, plan(home, {}), 1, first=False, detach=False)
    assert "pass-word" not in later
    assert str(home.bootstrap_file) in later


def test_the_key_is_never_shown(home: Home) -> None:
    assert "omx_a_b" not in welcome(home, plan(home, {}), 1, first=True, detach=True)


def test_a_new_port_is_written_where_clients_look(home: Home) -> None:
    welcome(home, plan(home, {"PORT": "9001"}), 1, first=False, detach=True)
    assert json.loads(home.bootstrap_file.read_text())["url"] == "http://127.0.0.1:9001"
    assert home.bootstrap_file.stat().st_mode & 0o777 == 0o600
