"""Commands about rollouts: start one, watch how it goes, hold it, take its next step."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from ollamamax.remote import find, show
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.exits import CommandFailed, ExitStatus
from ollamamax.remote.models import OPEN_ROLLOUTS

_WHICH = "ROLLOUT"
_WHAT = "Its id, or MODEL:CHANNEL for the channel's last one."

watching = (
    click.option(
        "--interval", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Seconds between looks."
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0),
        default=24 * 3600.0,
        show_default=True,
        help="Seconds to wait; the rollout goes on without this command.",
    ),
)


@click.group()
def rollout() -> None:
    """Move a channel to another version in steps, judged by the answers of both. ROLLOUT is an id, or MODEL:CHANNEL for the channel's last one."""


@rollout.command()
@click.argument("name", metavar="MODEL[:CHANNEL]")
@click.argument("version", metavar="VERSION")
@click.option(
    "--plan",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON with `kind`, `steps` and `gates`, as the API takes them.",
)
@click.option(
    "--kind",
    type=click.Choice(["staged", "blue_green", "shadow"]),
    help="In steps (the default); all at once, with the old version kept for a hold time; or beside it, shown to nobody.",
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="SHARE[:SECONDS[:REQUESTS]]",
    help="A step, such as 5%:300:100; several times. Without: 1, 5, 25, 50, 100 %.",
)
@click.option("--reason", default="", help="Kept with the rollout.")
@click.option("--watch", "watched", is_flag=True, help="Wait for its end; exit with 3 when it is taken back.")
@watching[0]
@watching[1]
@show.with_api
def start(
    api: RemoteApi,
    name: str,
    version: str,
    plan: Path | None,
    kind: str | None,
    steps: tuple[str, ...],
    reason: str,
    watched: bool,
    interval: float,
    timeout: float,
) -> None:
    """Begin to move MODEL:CHANNEL to VERSION: a digest of a version of the same model, or its first digits."""
    if plan is not None and steps:
        raise CommandFailed("--plan and --step both say the steps: give one.", ExitStatus.USAGE)
    body: dict[str, Any] = {"reason": reason}
    if plan is not None:
        body |= _plan_of(plan)
    if kind is not None:
        body["kind"] = kind
    if steps:
        body["steps"] = [_step(each) for each in steps]
    row = find.channel(api, name)
    body["version"] = find.version_in(api, row, version)["version"]
    made = api.post(f"/api/v1/models/{row['id']}/rollouts", body)
    if watched:
        _watch(api, made, interval, timeout)
    else:
        show.result(made, f"Rollout {made['id']}: {_line(made)}")


def _plan_of(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{file} is no JSON: {error}.", ExitStatus.USAGE) from None
    if not isinstance(found, dict) or found.keys() - {"kind", "steps", "gates"}:
        raise CommandFailed(f"{file} must be an object with `kind`, `steps` and `gates`.", ExitStatus.USAGE)
    return found


def _step(text: str) -> dict[str, Any]:
    share, *rest = text.split(":")
    try:
        step: dict[str, Any] = {"share": float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)}
        if rest:
            step["seconds"] = float(rest[0])
        if len(rest) > 1:
            step["requests"] = int(rest[1])
    except ValueError:
        rest = [*rest, "", "", ""]
    if len(rest) > 2:
        raise CommandFailed(f"'{text}' is no step: SHARE[:SECONDS[:REQUESTS]], such as 5%:300:100.", ExitStatus.USAGE)
    return step


@rollout.command()
@click.argument("which", metavar=_WHICH)
@watching[0]
@watching[1]
@show.with_api
def watch(api: RemoteApi, which: str, interval: float, timeout: float) -> None:
    """Wait for its end, and say each change. Exits with 3 when it was taken back, by a gate or by somebody."""
    _watch(api, find.rollout(api, which), interval, timeout)


def _watch(api: RemoteApi, found: dict[str, Any], interval: float, timeout: float) -> None:
    end, told = time.monotonic() + timeout, ""
    while True:
        if (now := _line(found)) != told:
            show.progress(now)
        told = now
        if found["state"] not in OPEN_ROLLOUTS:
            break
        if time.monotonic() > end:
            raise CommandFailed(f"After {timeout:g} s it is under way still: {now}", ExitStatus.NOT_IN_TIME)
        time.sleep(interval)
        found = api.get(f"/api/v1/rollouts/{found['id']}")
    if found["state"] == "rolled_back":
        closed = [gate["gate"] for gate in found["gates"] if gate["evidence"] >= gate["closes_at"]]
        raise CommandFailed(
            f"Rollout {found['id']} was taken back: {found['why']}",
            ExitStatus.GATE_FAILED,
            code=f"gate_{closed[0]}" if closed else "rolled_back",
        )
    if found["state"] != "done":
        raise CommandFailed(f"Rollout {found['id']} is {found['state']}: {found['why']}", code=found["state"])
    if found["kind"] == "shadow":
        show.result(found, _line(found))
        return
    show.result(found, f"{found['model']}:{found['channel']} is {found['to_version']}.")


def _line(found: dict[str, Any]) -> str:
    """One sentence of how it is."""
    where = f"{found['model']}:{found['channel']} to {show.short(found['to_version'])}, {found['state']}"
    if found["step"] is not None:
        step = found["steps"][found["step"]]
        share = f"{step['share']:.0%}{' shadow' if step['shadow'] else ''}"
        where += f", step {found['step'] + 1} of {len(found['steps'])} ({share}, {found['step_answers']} answers)"
    return f"{where}. {found['why']}".rstrip()


@rollout.command()
@click.argument("which", metavar=_WHICH)
@show.with_api
def status(api: RemoteApi, which: str) -> None:
    """How it is now, and what was measured of both versions."""
    found = find.rollout(api, which)
    before = any(gate["before"] for gate in found["gates"])
    heads = (
        "GATE",
        "OLD, BEFORE THE SWITCH" if before else "OLD",
        "ANSWERS",
        "NEW",
        "ANSWERS",
        "EVIDENCE",
        "CLOSES AT",
    )
    show.result(found, lambda: f"{_line(found)}\n\n{show.table(heads, map(_gate_row, found['gates']))}")


def _gate_row(gate: dict[str, Any]) -> tuple[str, ...]:
    def mean(which: str) -> str:
        value = gate[f"{which}_mean"]
        if value is None:
            return "no data"
        return f"{value:.2%}" if gate["gate"] == "failures" else f"{value:.1f} ms"

    off = gate["allowed"] is None
    return (
        *(gate["gate"], mean("old"), str(gate["old_answers"]), mean("new"), str(gate["new_answers"])),
        *("off" if off else f"{gate['evidence']:.3g}", "-" if off else f"{gate['closes_at']:.3g}"),
    )


@rollout.command()
@click.argument("which", metavar=_WHICH)
@click.option("--reason", default="")
@show.with_api
def pause(api: RemoteApi, which: str, reason: str) -> None:
    """Keep its share as it is; its gates are looked at all the same."""
    _act(api, which, "pause", reason)


@rollout.command()
@click.argument("which", metavar=_WHICH)
@click.option("--reason", default="")
@show.with_api
def resume(api: RemoteApi, which: str, reason: str) -> None:
    """Let a paused one go on."""
    _act(api, which, "resume", reason)


@rollout.command(name="promote")
@click.argument("which", metavar=_WHICH)
@click.option("--full", is_flag=True, help="All steps that are left: the channel moves now.")
@click.option("--reason", default="")
@show.with_api
def promote_rollout(api: RemoteApi, which: str, full: bool, reason: str) -> None:
    """Take its next step now, whatever it waits for. The last one moves the channel."""
    changed = _acted(api, find.rollout(api, which), "advance", reason)
    while full and changed["state"] in {"running", "paused"}:
        changed = _acted(api, changed, "advance", reason)
    show.result(changed, _line(changed))


@rollout.command(name="rollback")
@click.argument("which", metavar=_WHICH)
@click.option("--reason", default="")
@show.with_api
def take_back(api: RemoteApi, which: str, reason: str) -> None:
    """End it: new requests have the old version within a second."""
    _act(api, which, "roll-back", reason)


def _acted(api: RemoteApi, found: dict[str, Any], what: str, reason: str) -> dict[str, Any]:
    changed: dict[str, Any] = api.post(f"/api/v1/rollouts/{found['id']}/{what}", {"reason": reason})
    return changed


def _act(api: RemoteApi, which: str, what: str, reason: str) -> None:
    changed = _acted(api, find.rollout(api, which), what, reason)
    show.result(changed, _line(changed))
