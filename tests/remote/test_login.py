"""Logging in from elsewhere: what is kept and for whom, what goes before it, and how it is told that nobody is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cast import Key
from tests.remote.conftest import CommandLine, MakeCommandLine, Served, knows

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_login_is_kept_for_its_user_alone(
    served: Served, owner_key: Key, command_line: MakeCommandLine, tmp_path: Path
) -> None:
    knows(lambda: served.ollama(owner_key).list())
    here = command_line("", "")
    assert here.failed("nodes") == (2, "no_login")
    wrong = here.run("login", served.url, "--key-stdin", input="omx_wrong\n")
    assert (wrong.exit_code, list(tmp_path.glob("config/*/login.json"))) == (1, [])
    result = here.run("login", f"{served.url}/", "--key-stdin", "--json", input=f"{owner_key.text}\n")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["url"]) == (0, served.url)
    assert owner_key.text not in result.output
    file = Path(told["file"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert here.done("nodes") == []
    file.chmod(0o640)
    assert here.failed("nodes") == (2, "usage")
    assert here.run("logout").exit_code == 0
    assert here.failed("nodes") == (2, "no_login")


@pytest.mark.parametrize(
    ("url", "key", "code"),
    [
        ("http://example.com", "omx_x", "usage"),  # would show the key to the network
        ("ftp://example.com", "omx_x", "usage"),
        ("https://user:word@example.com", "omx_x", "usage"),
        ("https://example.com", "", "usage"),  # a key is for one address
        ("http://127.0.0.1:99999", "omx_x", "usage"),
        ("http://127.0.0.1:1", "omx x", "usage"),
    ],
)
def test_an_address_or_key_that_cannot_be_is_refused_unasked(
    url: str, key: str, code: str, command_line: MakeCommandLine
) -> None:
    assert command_line(url, key).failed("nodes") == (2, code)


def test_who_is_not_there_is_told_apart_from_who_refuses(
    nobody_there: str, owners: CommandLine, command_line: MakeCommandLine, served: Served
) -> None:
    assert command_line(nobody_there, "omx_x").failed("nodes", "--tries", "1") == (4, "unreachable")
    assert command_line(served.url, "omx_x").failed("nodes") == (1, "unauthenticated")
    assert owners.failed("versions", "nothing") == (1, "model_not_found")
    assert owners.failed("logs", "nobody") == (1, "not_found")
    assert owners.failed("promote", "bad name@sha256:00", "--tries", "1") == (2, "usage")


def test_others_models_do_not_exist(
    owners: CommandLine, stranger_key: Key, served: Served, command_line: MakeCommandLine, gguf: Path
) -> None:
    knows(lambda: served.ollama(stranger_key).list())
    strangers = command_line(served.url, stranger_key.text)
    assert strangers.done("status") == {"models": [], "rollouts": []}


def test_a_shell_is_told_how_a_command_goes_on(tmp_path: Path) -> None:
    """By the console command, with no setting and no database."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    asked = {"_OLLAMAMAX_COMPLETE": "zsh_complete", "COMP_WORDS": "ollamamax rollout pro", "COMP_CWORD": "2"}
    program = (sys.executable, "-m", "ollamamax.cli")
    told = subprocess.run(program, env={**environ, **asked}, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[:2] == ["plain", "promote"]
    made = subprocess.run([*program, "completion", "zsh"], env=environ, capture_output=True, text=True, check=True)
    assert "_OLLAMAMAX_COMPLETE=zsh_complete" in made.stdout


def test_no_command_needs_django(tmp_path: Path) -> None:
    """Where it cannot be imported, as where only the plain package is installed."""
    code = (
        "import sys\n"
        "for name in ('django', 'rest_framework', 'psycopg', 'uvicorn', 'starlette'): sys.modules[name] = None\n"
        "sys.argv = ['ollamamax', 'nodes', '--tries', '1']\n"
        "from ollamamax.cli import main\nmain()\n"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Nobody is logged in" in done.stderr
