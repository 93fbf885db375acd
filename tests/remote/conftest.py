"""The web process on a real port, and the command line as a user elsewhere has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ollamamax.remote.commands import remote
from tests.cast import Key
from tests.management.conftest import Controller, Served, _home, controller, gguf, knows, make_node, node, served
from tests.servers import free_port

__all__ = ["Controller", "Served", "_home", "controller", "gguf", "knows", "make_node", "node", "served"]


class CommandLine:
    """Runs commands with one key; ``folder`` is what its user's programs keep their things in."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self.env: dict[str, str | None] = {
            "OLLAMAMAX_URL": url or None,
            "OLLAMAMAX_API_KEY": key or None,
            "XDG_CONFIG_HOME": str(folder),
        }

    def run(self, *arguments: str, **given: Any) -> Result:
        result = CliRunner(env=self.env).invoke(remote, arguments, **given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def done(self, *arguments: str) -> Any:
        """What it answers as JSON, where all went well."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def failed(self, *arguments: str) -> tuple[int, str]:
        """Exit status and code of what went wrong."""
        result = self.run(*arguments, "--json")
        told = json.loads(result.stderr.splitlines()[-1])
        assert (told["exit"], result.stdout) == (result.exit_code, "")
        assert told["detail"]
        return result.exit_code, told["code"]


MakeCommandLine = Callable[[str, str], CommandLine]


@pytest.fixture
def command_line(tmp_path: Path) -> MakeCommandLine:
    """By address and key; both empty: nothing is in the environment."""
    return lambda url, key: CommandLine(url, key, tmp_path / "config")


@pytest.fixture
def owners(served: Served, owner_key: Key, command_line: MakeCommandLine) -> CommandLine:
    knows(lambda: served.ollama(owner_key).list())
    return command_line(served.url, owner_key.text)


@pytest.fixture
def nobody_there() -> str:
    """An address at which nothing listens."""
    return f"http://127.0.0.1:{free_port()}"
