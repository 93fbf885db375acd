"""The command line of a node: join a control plane, then run."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cluster.worker import identity as identities
from ollamamax import logs

DEFAULT_HOME = Path("~/.ollamamax-node")
home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of the node's identity and models.",
)


@click.group()
def main() -> None:
    """An OllamaMax node: one host with its engine."""


@main.command()
@home_option
@click.option("--grace", default=25.0, show_default=True, help="Seconds that running requests have after SIGTERM.")
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def run(home: Path, grace: float, log_level: str) -> None:
    """Run this node until SIGTERM."""
    from cluster.engines.build import build as build_engine
    from cluster.worker import app
    from cluster.worker.agent import Agent

    home = home.expanduser()
    logs.configure(log_level)
    try:
        identity = identities.read(home)
    except identities.IdentityMissing as error:
        raise click.ClickException(str(error)) from None
    agent = Agent(identity, home, lambda models: build_engine(identity.engine, models), grace=grace)
    sys.exit(app.serve(app.build(identity), agent))


if __name__ == "__main__":
    main()
