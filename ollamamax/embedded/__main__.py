"""``python -m ollamamax.embedded up|down|status|reset``: everything on one machine. Run by the Makefile."""

from __future__ import annotations

import os
import sys

import click

from ollamamax.embedded import home
from ollamamax.embedded.problem import Problem


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command(help="Start everything; stays in the foreground.")
@click.option(
    "--detach",
    is_flag=True,
    default=lambda: os.environ.get("DETACH", "0") not in {"", "0"},
    help="Return when it is ready.",
)
def up(detach: bool) -> None:
    from ollamamax.embedded import up as module

    sys.exit(module.up(home.at(), detach=detach))


@main.command(help="Stop everything.")
def down() -> None:
    from ollamamax.embedded import up as module

    sys.exit(module.down(home.at()))


@main.command(help="Say what runs.")
def status() -> None:
    from ollamamax.embedded import up as module

    sys.exit(module.status(home.at()))


@main.command(help="Delete all data.")
@click.option("--yes", is_flag=True, default=lambda: os.environ.get("YES", "0") not in {"", "0"}, help="Do not ask.")
def reset(yes: bool) -> None:
    from ollamamax.embedded import reset as module

    sys.exit(module.reset(home.at(), yes=yes))


if __name__ == "__main__":
    try:
        main()
    except Problem as problem:
        sys.exit(str(problem))
