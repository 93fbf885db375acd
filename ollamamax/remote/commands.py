"""The group of all commands that speak to an installation from elsewhere, and logging in there."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from ollamamax.kernel.addresses import AddressRefused, checked_address
from ollamamax.remote import bundles, credentials, evaluations, fleet, models, rollouts, show
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.credentials import RemoteLogin
from ollamamax.remote.exits import CommandFailed, ExitStatus

PROGRAM = "ollamamax"
COMPLETION = "_OLLAMAMAX_COMPLETE"
"""The variable by which a shell's completion asks this program."""


@click.group(no_args_is_help=True)
def remote() -> None:
    """Commands that speak to an installation by its API.

    Exit status: 0 done, 1 refused, 2 usage, 3 rollout taken back or score too low, 4 unreachable, 5 not in time, 6 needs approval.
    """


@remote.command()
@click.argument("url")
@click.option("--key-stdin", is_flag=True, help="Read the API key from stdin instead of asking for it.")
@click.option("--insecure-http", is_flag=True, help="Allow http:// to another machine.")
@show.json_option
@show.tries_option
def login(url: str, key_stdin: bool, insecure_http: bool, tries: int) -> None:
    """Keep the address and an API key of an installation, for later commands of this user.

    OLLAMAMAX_URL and OLLAMAMAX_API_KEY go before what is kept, and need no login.
    """
    try:
        checked_address(url, insecure_http=insecure_http)
    except AddressRefused as error:
        raise CommandFailed(str(error), ExitStatus.USAGE) from None
    key = sys.stdin.readline().strip() if key_stdin else click.prompt("API key", hide_input=True, err=True).strip()
    wanted = RemoteLogin(url.rstrip("/"), key, insecure_http)
    if not key:
        raise CommandFailed("No API key was given.", ExitStatus.USAGE)
    with RemoteApi(wanted, tries) as api:
        me = api.get("/api/v1/me")
    file = credentials.write(wanted)
    show.result(
        {"url": wanted.url, "name": me["name"], "kind": me["kind"], "tenant": me["tenant"], "file": str(file)},
        f"Logged in at {wanted.url} as {me['name']}; kept in {file}.",
    )


@remote.command()
@show.json_option
def logout() -> None:
    """Forget the address and the key. The key works on: revoke it where it was made."""
    was = credentials.forget()
    show.result({"was_logged_in": was}, "Logged out." if was else "Nobody was logged in.")


@remote.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete this program's commands: put it where the shell reads such files."""
    made = get_completion_class(shell)
    if made is None:
        raise CommandFailed(f"There is no completion for {shell}.", ExitStatus.USAGE)
    click.echo(made(remote, {}, PROGRAM, COMPLETION).source())


for command in (
    *(models.push, models.versions, models.promote, models.rollback, rollouts.rollout, bundles.bundle),
    evaluations.evaluate,
    *(fleet.status, fleet.nodes, fleet.logs),
):
    remote.add_command(command)


def main(arguments: list[str]) -> None:
    """Run one of them, and leave with its exit status."""
    remote.main(args=arguments, prog_name=PROGRAM, complete_var=COMPLETION)
