"""``python -m ollamamax.embedded up|down|status|reset``: everything on one machine. Run by the Makefile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import click

from ollamamax.embedded import home
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem, from_failure, from_os_error


def _flag(name: str) -> bool:
    return os.environ.get(name, "") not in {"", "0"}


def _exit(act: Callable[[Home], int]) -> None:
    """Run ``act`` and end with its status; what it cannot do is said in a sentence."""
    try:
        here = home.at()
        try:
            status = act(here)
        except OSError as error:
            raise from_os_error(error, here.folder) from error
        except subprocess.CalledProcessError as error:
            raise from_failure(error, here.folder) from error
    except Problem as problem:
        sys.exit(str(problem))
    sys.exit(status)


@click.group(help=__doc__)
def main() -> None:
    pass


# The imports below are slow, and `--help` needs none of them.


@main.command(help="Start everything; stays in the foreground.")
@click.option("--detach", is_flag=True, default=lambda: _flag("DETACH"), help="Return when it is ready.")
@click.option("--restore", default=lambda: os.environ.get("RESTORE", ""), help="Begin with what this backup holds.")
@click.option("--identity", default=lambda: os.environ.get("IDENTITY", ""), help="The age key that opens it.")
def up(detach: bool, restore: str, identity: str) -> None:
    from ollamamax.embedded.restored import Backup
    from ollamamax.embedded.up import up as act

    _exit(lambda here: act(here, detach=detach, backup=Backup.of(restore, identity)))


@main.command(help="Stop everything.")
def down() -> None:
    from ollamamax.embedded.down import down as act

    _exit(act)


@main.command(help="Say what runs.")
def status() -> None:
    from ollamamax.embedded.down import status as act

    _exit(act)


@main.command(help="Delete all data.")
@click.option("--yes", is_flag=True, default=lambda: _flag("YES"), help="Do not ask.")
def reset(yes: bool) -> None:
    from ollamamax.embedded.reset import reset as act

    _exit(lambda here: act(here, yes=yes))


if __name__ == "__main__":
    main(prog_name="python -m ollamamax.embedded")
