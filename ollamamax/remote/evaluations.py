"""The command that has a version answer a suite of prompts with checks, and says what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ollamamax.remote import find, show
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.exits import CommandFailed, ExitStatus
from ollamamax.remote.waiting import until_ended

_MOST_FILE = 1 << 20


@click.command()
@click.argument("version", metavar="MODEL@VERSION")
@click.argument("suite", metavar="SUITE")
@click.option(
    "--cases",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON list of cases: SUITE is made of them first, or changed to have them.",
)
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Score that suffices, as a share of the cases.",
)
@click.option(
    "--timeout", type=click.IntRange(10, 604_800), default=3600, show_default=True, help="Seconds it may take."
)
@click.option("--detach", is_flag=True, help="Order it and do not wait for its end.")
@show.with_api
def evaluate(
    api: RemoteApi, version: str, suite: str, cases: Path | None, least: float, timeout: int, detach: bool
) -> None:
    """Have a version answer the cases of SUITE on nodes, at idle priority, as the key that is logged in.

    VERSION is a digest or its first digits; MODEL:CHANNEL means what the channel points at. Exits with 3 when the score is below --least, with 1 when
    the evaluation could not be carried out, which says nothing of the version, and with 5 when it goes on still.
    """
    release = find.version(api, version)
    found = _suite(api, suite, cases)
    body = {"suite": found["id"], "timeout_seconds": timeout}
    made = api.post(f"/api/v1/versions/{release['id']}/evaluations", body)
    if detach:
        show.result(made, f"Evaluation {made['id']}: {_line(made)}")
        return
    # The server ends it in its time, so this waits a little longer.
    ended = until_ended(api, f"/api/v1/evaluations/{made['id']}", made, line=_line, timeout=timeout + 30)
    if ended["state"] != "completed":
        raise CommandFailed(
            f"The evaluation {ended['id']} {ended['state']}: {ended['reason'] or 'somebody cancelled it'}",
            code=f"evaluation_{ended['state']}",
        )
    failed = _failed(api, ended)
    if ended["score"] < least:
        names = "; ".join(failed[:5]) + ("; ..." if len(failed) > 5 else "")
        raise CommandFailed(
            f"{_line(ended)} At least {least:.1%} was asked for. Failed: {names} (evaluation {ended['id']})",
            ExitStatus.GATE_FAILED,
            code="score_too_low",
        )
    show.result(ended, lambda: "\n".join([_line(ended), *(f"failed: {each}" for each in failed)]))


def _suite(api: RemoteApi, name: str, cases: Path | None) -> dict[str, Any]:
    """By its name; made or changed where cases are given. Raises `CommandFailed`."""
    listed = [each for each in api.listed("/api/v1/evaluation-suites", name=name) if each["name"] == name]
    wanted = None if cases is None else _cases(cases)
    if not listed:
        if wanted is None:
            raise CommandFailed(f"There is no suite '{name}' for this key.", code="not_found")
        made: dict[str, Any] = api.post("/api/v1/evaluation-suites", {"name": name, "cases": wanted})
        return made
    [found] = listed
    if wanted is not None:
        found = api.patch(f"/api/v1/evaluation-suites/{found['id']}", {"cases": wanted})
    return found


def _cases(file: Path) -> Any:
    if file.stat().st_size > _MOST_FILE:
        raise CommandFailed(f"{file} has more than {_MOST_FILE} bytes.", ExitStatus.USAGE)
    try:
        found = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{file} is no JSON: {error}.", ExitStatus.USAGE) from None
    if not isinstance(found, list):
        raise CommandFailed(f"{file} must be a list of cases.", ExitStatus.USAGE)
    return found


def _failed(api: RemoteApi, ended: dict[str, Any]) -> list[str]:
    """Each case that failed, with its first reason."""
    rows = api.listed(f"/api/v1/evaluations/{ended['id']}/results")
    return [f"{row['name']} ({_reason(row)})" for row in rows if not row["passed"]]


def _reason(row: dict[str, Any]) -> str:
    check = next(each for each in row["checks"] if not each["passed"])
    return f"{check['kind']}: {check['detail']}"


def _line(found: dict[str, Any]) -> str:
    """One sentence of how it is."""
    what = f"{found['model']} {show.short(found['version'])} by '{found['suite_name']}': "
    if found["state"] != "completed":
        return f"{what}{found['state']}, {found['done']} of {found['total']} cases."
    first, speed = found["first_token_ms"], found["tokens_per_second"]
    told = [
        f"score {found['score']:.1%} ({found['passed']} of {found['total']})",
        f"first token {first['median']:.0f} ms" if first else "first token: no data",
        f"{speed['median']:.1f} tokens/s" if speed else "tokens/s: no data",
    ]
    return f"{what}{', '.join(told)}."
