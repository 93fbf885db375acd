"""Commands about models: push one, see its versions, promote, point a channel back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from ollamamax.remote import find, show
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.exits import CommandFailed, ExitStatus
from ollamamax.remote.send import SentFile, send_file
from ollamamax.remote.waiting import until_ended

_SPELLED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
"""Names that the registry protocol can spell."""
_MOST_TEXT = 1 << 20
TO_PRODUCTION = {"draft": "staged", "archived": "draft", "staged": "production", "deprecated": "production"}
TO_STAGED = {"draft": "staged", "archived": "draft"}
OPEN_ROLLOUTS = frozenset({"preloading", "running", "paused"})
_TEXT = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("file", type=_TEXT)
@click.argument("name", metavar="MODEL[:CHANNEL]")
@click.option(
    "--modelfile",
    type=_TEXT,
    help="A Modelfile with TEMPLATE, SYSTEM, PARAMETER and the like; FILE stands for its FROM.",
)
@click.option("--license", "license_", type=_TEXT, help="File with the text of its licence.")
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A default, such as temperature=0."
)
@click.option(
    "--timeout", type=click.FloatRange(0), default=3600.0, show_default=True, help="Seconds to wait for nodes."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the version's digest alone.")
@show.with_api
def push(
    api: RemoteApi,
    file: Path,
    name: str,
    modelfile: Path | None,
    license_: Path | None,
    parameters: tuple[str, ...],
    timeout: float,
    quiet: bool,
) -> None:
    """Send the GGUF FILE and point MODEL:CHANNEL at the version that it makes.

    A push that broke off goes on where it stopped, and bytes that the server has are not sent. It ends once a node has the model, where any node serves the registry's models.
    """
    model, tag = find.name_and_tag(name)
    if _SPELLED.fullmatch(model) is None:
        raise CommandFailed(f"'{model}' cannot be pushed to: take letters, digits and . _ + - /", ExitStatus.USAGE)
    body: dict[str, Any] = {"model": f"{model}:{tag}"}
    if modelfile is not None:
        body["modelfile"] = _text_of(modelfile)
    if license_ is not None:
        body["license"] = _text_of(license_)
    if parameters:
        body["parameters"] = dict(map(_parameter, parameters))
    sent = send_file(api, f"library/{model}", file, hashed=ShownBytes("hashed", quiet), sent=ShownBytes("sent", quiet))
    body["files"] = {file.name: sent.digest}
    job = api.post("/api/v1/models/create", body)
    wait_for_job(api, job, timeout, quiet)
    row = find.channel(api, f"{model}:{tag}")
    _tell_pushed(row, sent, job["id"], quiet)


def _tell_pushed(row: dict[str, Any], sent: SentFile, job: str, quiet: bool) -> None:
    if quiet and not show.wants_json():
        click.echo(row["version"])
        return
    told = {
        "model": row["name"],
        "version": row["version"],
        "weights": sent.digest,
        "size": row["size"],
        "sent_bytes": sent.bytes,
        "job": job,
    }
    what = f"{show.size(sent.bytes)} sent" if sent.bytes else "the server had the bytes"
    show.result(told, f"{row['name']} is {row['version']} ({show.size(row['size'])}; {what}).")


class ShownBytes:
    """Tells each tenth of a file on stderr."""

    def __init__(self, what: str, quiet: bool = False) -> None:
        self._what, self._quiet, self._last = what, quiet, 0

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth == self._last or self._quiet:
            return
        self._last = tenth
        show.progress(f"{self._what} {10 * tenth} % of {show.size(total)}")


def _text_of(file: Path) -> str:
    if file.stat().st_size > _MOST_TEXT:
        raise CommandFailed(f"{file} has more than {_MOST_TEXT} bytes.", ExitStatus.USAGE)
    try:
        return file.read_text()
    except UnicodeDecodeError:
        raise CommandFailed(f"{file} is no text in UTF-8.", ExitStatus.USAGE) from None


def _parameter(text: str) -> tuple[str, Any]:
    name, given, value = text.partition("=")
    if not given or not name:
        raise CommandFailed(f"'{text}' is not NAME=VALUE.", ExitStatus.USAGE)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def wait_for_job(api: RemoteApi, job: dict[str, Any], timeout: float, quiet: bool = False) -> dict[str, Any]:
    """The job, once it is done. Raises `CommandFailed` for one that failed, or goes on still."""
    job = until_ended(api, f"/api/v1/jobs/{job['id']}", job, line=_progress_of_job, timeout=timeout, quiet=quiet)
    if job["state"] != "done":
        raise CommandFailed(job["error"] or f"The job was {job['state']}.", code=job["error_code"])
    return job


def _progress_of_job(job: dict[str, Any]) -> str:
    return str(job["progress"][-1]["status"] if job["progress"] else job["state"])


@click.command()
@click.argument("model", metavar="MODEL")
@show.with_api
def versions(api: RemoteApi, model: str) -> None:
    """The versions of MODEL, the newest first: their stages, channels, and on how many nodes they are."""
    row = find.channels_of(api, find.name_and_tag(model)[0])[0]
    found = list(api.listed(f"/api/v1/models/{row['id']}/versions"))
    heads = ("VERSION", "STAGE", "CHANNELS", "SIZE", "READY", "FROM", "BY", "CREATED")
    show.result(found, lambda: show.table(heads, map(_version_row, found)))


def _version_row(each: dict[str, Any]) -> tuple[str, ...]:
    ready = sum(replica["state"] in {"ready", "present"} for replica in each["replicas"])
    return (
        *(show.short(each["version"]), each["stage"], ", ".join(each["channels"]) or "-", show.size(each["size"])),
        *(f"{ready} of {len(each['replicas'])}", each["origin"], each["by_name"], each["created_at"][:19]),
    )


@click.command()
@click.argument("version", metavar="MODEL@VERSION")
@click.option("--stage", type=click.Choice(["staged", "production"]), default="production", show_default=True)
@click.option("--channel", "tag", help="Then point this channel at it; made where there is none.")
@click.option("--reason", default="", help="Kept with what is done.")
@show.with_api
def promote(api: RemoteApi, version: str, stage: str, tag: str | None, reason: str) -> None:
    """Bring a version into a stage, through those before it. VERSION is a digest or its first digits; MODEL:CHANNEL means what the channel points at.

    Exits with 6 where others must approve first: run it again when they have.
    """
    release = find.version(api, version)
    steps = TO_PRODUCTION if stage == "production" else TO_STAGED
    while release["stage"] != stage and release["stage"] in steps:
        before = release["stage"]
        release = api.patch(f"/api/v1/versions/{release['id']}", {"stage": steps[before], "reason": reason})
        if release["stage"] == before:
            waits = release["promotion"] or {}
            raise CommandFailed(
                f"{release['model']} {show.short(release['version'])} stays {before} until {waits.get('needed', 'some')} approve it"
                f" ({len(waits.get('approvals', []))} have; promotion {waits.get('id', 'unknown')}).",
                ExitStatus.NEEDS_APPROVAL,
            )
    if release["stage"] != stage:
        raise CommandFailed(f"A version in {release['stage']} is not brought into {stage} by this.", code="conflict")
    if tag is not None:
        _point(api, release, tag, reason)
    release = api.get(f"/api/v1/versions/{release['id']}")
    at = ", ".join(release["channels"]) or "no channel"
    show.result(release, f"{release['model']} {show.short(release['version'])} is in {release['stage']}, at {at}.")


def _point(api: RemoteApi, release: dict[str, Any], tag: str, reason: str) -> None:
    rows = find.channels_of(api, release["model"])
    name, body = f"{release['model']}:{tag}", {"version": release["version"], "reason": reason}
    there = next((row for row in rows if row["name"] == name), None)
    if there is None:
        api.post(f"/api/v1/models/{rows[0]['id']}/channels", {"name": tag, **body})
    elif there["version"] != release["version"]:
        api.post(f"/api/v1/models/{there['id']}/moves", body)


@click.command()
@click.argument("name", metavar="MODEL[:CHANNEL]")
@click.option("--reason", default="", help="Kept with the move.")
@show.with_api
def rollback(api: RemoteApi, name: str, reason: str) -> None:
    """Give new requests the version before: by taking back the rollout that is under way, or else by moving the channel to where it pointed before."""
    row = find.channel(api, name)
    last = find.last_rollout(api, row)
    if last is not None and last["state"] in OPEN_ROLLOUTS:
        api.post(f"/api/v1/rollouts/{last['id']}/roll-back", {"reason": reason})
    else:
        api.post(f"/api/v1/models/{row['id']}/rollback", {"reason": reason})
    row = find.channel(api, row["name"])
    show.result(
        {"model": row["name"], "version": row["version"], "rollout": last["id"] if last else None},
        f"{row['name']} is {row['version']}.",
    )
