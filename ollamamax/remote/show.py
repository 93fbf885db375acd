"""What a command says: a table or sentences for people, one JSON value for programs; how it goes on stderr."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from ollamamax.remote.api import TRIES, RemoteApi
from ollamamax.remote.credentials import read
from ollamamax.remote.exits import AS_JSON

R = TypeVar("R")


def _keep(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[AS_JSON] = value


json_option = click.option(
    "--json", is_flag=True, callback=_keep, expose_value=False, is_eager=True, help="One JSON value on stdout."
)


tries_option = click.option(
    "--tries",
    type=click.IntRange(1, 20),
    default=TRIES,
    show_default=True,
    help="Of a request, before the server counts as unreachable.",
)


def with_api(command: Callable[..., R]) -> Callable[..., R]:
    """A command whose first argument is the API that this machine is logged in at; it has ``--json`` and ``--tries``."""

    @json_option
    @tries_option
    @functools.wraps(command)
    def run(*given: Any, tries: int, **options: Any) -> R:
        with RemoteApi(read(), tries) as api:
            return command(api, *given, **options)

    return run


def wants_json() -> bool:
    return bool(click.get_current_context().meta.get(AS_JSON))


def result(value: Any, text: str | Callable[[], str]) -> None:
    """``value`` where JSON was asked for, else the text."""
    if wants_json():
        click.echo(json.dumps(value))
    else:
        click.echo(text if isinstance(text, str) else text())


def progress(text: str) -> None:
    """To stderr, so that stdout has the result alone."""
    click.echo(text, err=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    found = [list(heads), *map(list, rows)]
    widths = [max(len(row[column]) for row in found) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in found
    )


def size(count: int | None) -> str:
    """Bytes as people read them, in powers of 1000; ``-`` for no data."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
