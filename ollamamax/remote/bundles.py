"""Commands about bundles: models in one signed file, out of one installation and into another that no network leads to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from ollamamax.remote import find, show
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.exits import CommandFailed, ExitStatus
from ollamamax.remote.models import ShownBytes, wait_for_job
from ollamamax.remote.send import send_file

_REPOSITORY = "library/bundles"
"""Uploads are of a repository; this one's name is no model's until somebody calls one so."""
_KEY = re.compile(r"[0-9a-f]{64}")


@click.group()
def bundle() -> None:
    """Models in one signed file, for an installation that no network leads to."""


@bundle.command(name="export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("names", metavar="MODEL[:CHANNEL]...", nargs=-1, required=True)
@show.with_api
def export(api: RemoteApi, file: Path, names: tuple[str, ...]) -> None:
    """Write these channels, or all those of a MODEL, with their versions and bytes into FILE. What is half written is removed."""
    rows = [row for name in names for row in _rows(api, name)]
    asked = "&".join(f"channel={id_}" for id_ in dict.fromkeys(row["id"] for row in rows))
    count = api.download(f"/api/v1/bundles/export?{asked}", file, ShownBytes("written"))
    models = sorted({row["name"] for row in rows})
    told = {"file": str(file), "size": count, "models": models}
    show.result(told, f"{file}: {show.size(count)}, {', '.join(models)}.")


def _rows(api: RemoteApi, name: str) -> list[dict[str, Any]]:
    if ":" in name.rpartition("/")[2]:
        return [find.channel(api, name)]
    return find.channels_of(api, find.name_and_tag(name)[0])


@bundle.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--timeout", type=click.FloatRange(0), default=3600.0, show_default=True, help="Seconds to wait for its end."
)
@show.with_api
def take_in(api: RemoteApi, file: Path, timeout: float) -> None:
    """Send FILE and take in what is in it: all of it, after every byte was verified, or nothing. An upload that broke off goes on where it stopped."""
    sent = send_file(api, _REPOSITORY, file, hashed=ShownBytes("hashed"), sent=ShownBytes("sent"))
    job = wait_for_job(api, api.post("/api/v1/bundles/import", {"digest": sent.digest}), timeout)
    told = {"digest": sent.digest, "sent_bytes": sent.bytes, "job": job["id"], "channels": job["imported"]}
    show.result(told, f"{file} is taken in: {', '.join(job['imported'])}.")


@bundle.command()
@click.option("--trust", multiple=True, metavar="NAME=KEY", help="Take bundles that this key signed; several times.")
@click.option("--distrust", multiple=True, metavar="NAME", help="No longer.")
@show.with_api
def signers(api: RemoteApi, trust: tuple[str, ...], distrust: tuple[str, ...]) -> None:
    """This installation's own key, and those of others whose bundles the tenant takes."""
    found = api.get("/api/v1/bundles/signers")
    if trust or distrust:
        kept = [each for each in found["signers"] if each["name"] not in distrust]
        added = [_signer(text) for text in trust]
        keys = {each["key"] for each in added}
        wanted = [each for each in kept if each["key"] not in keys] + added
        found = api.put("/api/v1/bundles/signers", {"signers": wanted})
    rows = [("(this installation)", found["own"]), *((each["name"], each["key"]) for each in found["signers"])]
    show.result(found, lambda: show.table(("SIGNER", "KEY"), rows))


def _signer(text: str) -> dict[str, str]:
    name, _, key = text.partition("=")
    if not name or _KEY.fullmatch(key) is None:
        raise CommandFailed(f"'{text}' is not NAME=KEY, a key being 64 hexadecimal digits.", ExitStatus.USAGE)
    return {"name": name, "key": key}
