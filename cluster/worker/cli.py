"""The command line of a node: join a control plane, then run."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import get_args

import click

from cluster.engines.base import EngineKind
from cluster.engines.build import EngineChoice
from cluster.scheduling.silence import FLOOR
from cluster.worker import identity as identities
from cluster.worker import join as joining
from cluster.worker.log_answers import keep_own_log
from cluster.worker.transfer_settings import TransferSettings
from ollamamax import env, logs
from ollamamax.contract.experiment import NodeFault
from ollamamax.observability import start as metrics

DEFAULT_HOME = Path("~/.ollamamax-node")
DEFAULT_URLS = {"ollama": "http://127.0.0.1:11434"}
EXTRAS = {"httptools": "node", "psutil": "node", "pynvml": "node", "xllamacpp": "node,llamacpp"}
"""What a node imports that the plain package does not bring, and the extras that do."""
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
    os.umask(0o077)  # its identity and models are for its own user


@main.command(name="join")
@click.argument("url")
@home_option
@click.option(
    "--token", envvar="OLLAMAMAX_JOIN_TOKEN", required=True, help="The join token, or - to read it from stdin."
)
@click.option("--engine", type=click.Choice(["ollama", "openai", "llamacpp"]), required=True)
@click.option("--engine-url", help="Where the engine listens; llamacpp needs none, ollama's own default is used.")
@click.option(
    "--engine-api-key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="File with the engine's API key.",
)
@click.option("--name", default=socket.gethostname, show_default="host name")
@click.option("--slots", type=click.IntRange(1, 4096), help="Requests to run at once. [default: by engine]")
@click.option("--context", type=click.IntRange(256), help="Context of each slot, for llamacpp. [default: 4096]")
@click.option("--redis-url", default="", help="Where Redis is, seen from here; the node's own user is put in.")
@click.option("--force", is_flag=True, help="Replace the identity that the home holds.")
@click.option("--insecure-http", is_flag=True, help="Allow http:// to another machine.")
def join_command(
    url: str,
    home: Path,
    token: str,
    engine: EngineKind,
    engine_url: str | None,
    engine_api_key_file: Path | None,
    name: str,
    slots: int | None,
    context: int | None,
    redis_url: str,
    force: bool,
    insecure_http: bool,
) -> None:
    """Join the OllamaMax at URL: exchange a join token for an identity of this node's own."""
    home = home.expanduser()
    if (home / identities.FILE).exists() and not force:
        raise click.ClickException(f"{home} holds the identity of a node already; --force replaces it.")
    if engine == "openai" and not engine_url:
        raise click.UsageError("--engine openai needs --engine-url.")
    _check_installed(engine)
    choice = EngineChoice(
        engine,
        url=engine_url or DEFAULT_URLS.get(engine, ""),
        api_key_file=str(engine_api_key_file or ""),
        slots=slots,
        context=context,
    )
    secret = sys.stdin.readline().strip() if token == "-" else token.strip()  # noqa: S105 - a dash, not a password
    try:
        url = joining.check_url(url, insecure_http=insecure_http)
        identity = asyncio.run(joining.join(url, secret, name, choice, redis_url))
        identities.write(home, identity)
    except joining.JoinFailed as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{home} cannot be written: {error.strerror}.") from None
    click.echo(f"Joined {url} as {identity.name} ({identity.node}). Start it with: ollamamax-node run --home {home}")


@main.command()
@home_option
@click.option("--grace", default=25.0, show_default=True, help="Seconds that running requests have after SIGTERM.")
@click.option(
    "--awake",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds without a request after which it sleeps, until a message wakes it.",
)
@click.option(
    "--silence",
    type=click.FloatRange(0.1),
    default=FLOOR,
    show_default=True,
    help="Seconds without a token in the middle of an answer after which the engine may count as hung.",
)
@click.option(
    "--bandwidth",
    type=click.FloatRange(0.1),
    help="Megabytes a second that it fetches of models at most, and likewise gives to other nodes. [default: no bound]",
)
@click.option("--peer-address", default="", help="Name or IP address at which other nodes of its region reach it.")
@click.option(
    "--peer-port",
    type=click.IntRange(1024, 65535),
    help="Port at which it lets them have models, with --peer-address. [default: none, and all comes from the control plane]",
)
@click.option(
    "--allow-fault",
    "faults",
    multiple=True,
    envvar="OLLAMAMAX_NODE_FAULTS",
    type=click.Choice(get_args(NodeFault)),
    help="A fault that chaos experiments may have this host suffer; may be given several times. [default: none]",
)
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def run(
    home: Path,
    grace: float,
    awake: float,
    silence: float,
    bandwidth: float | None,
    peer_address: str,
    peer_port: int | None,
    faults: tuple[NodeFault, ...],
    log_level: str,
) -> None:
    """Run this node until SIGTERM."""
    home = home.expanduser()
    if bool(peer_address) != bool(peer_port):
        raise click.UsageError("--peer-address and --peer-port go together.")
    logs.configure(log_level)
    keep_own_log()
    try:
        watched = env.read(only=env.METRICS)
    except env.EnvironmentInvalid as error:
        raise click.ClickException(str(error)) from None
    try:
        identity = identities.read(home)
    except identities.IdentityMissing as error:
        raise click.ClickException(str(error)) from None
    _check_installed(identity.engine.kind)
    from cluster.engines.build import build as build_engine
    from cluster.worker import app
    from cluster.worker.agent import Agent

    agent = Agent(
        identity,
        home,
        lambda models: build_engine(identity.engine, models),
        grace=grace,
        awake=awake,
        silence=silence,
        transfers=TransferSettings(
            None if bandwidth is None else int(bandwidth * 1e6), address=peer_address, port=peer_port or 0
        ),
        faults=faults,
    )
    with metrics.served("node", watched, home):
        status = app.serve(app.build(identity), agent)
    sys.exit(status)


def _check_installed(engine: EngineKind) -> None:
    """Say which extras to install when this node would miss a package, before a join token is spent on it."""
    for module, extras in EXTRAS.items():
        if (module != "xllamacpp" or engine == "llamacpp") and importlib.util.find_spec(module) is None:
            raise click.ClickException(f'{module} is not installed: pip install "ollamamax[{extras}]".')


if __name__ == "__main__":
    main()
