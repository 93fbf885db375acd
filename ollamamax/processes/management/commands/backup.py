"""``ollamamax backup``: database, blobs, files, keys and settings in one file, while everything runs."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax import env
from ollamamax.backup import sealing
from ollamamax.backup.actions import note_backup
from ollamamax.backup.archive import ArchiveBroken
from ollamamax.backup.take import BlobsRemoved, Source, Taken, fingerprints, take
from ollamamax.blobs.places import bucket
from ollamamax.kernel.errors import Unavailable
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = (
        "Write everything that a new installation needs into one file: database, blobs, batches' files, keys, settings."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", type=Path, help="Default: one named by the time, in OLLAMAMAX_HOME/backups."
        )
        parser.add_argument(
            "--recipient", action="append", default=[], metavar="age1...",
            help="Encrypt for the holder of this age key; may be repeated. Default: OLLAMAMAX_BACKUP_RECIPIENTS.",
        )  # fmt: skip
        parser.add_argument(
            "--new-key", type=Path, metavar="FILE", help="Only write a new key to FILE and print its recipient."
        )
        parser.add_argument("--json", action="store_true", help="Say what was done in JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"]:
            try:
                self.stdout.write(sealing.new_identity(options["new_key"]))
            except OSError as error:
                raise CommandError(f"The key could not be written: {error.strerror}.") from error
            return
        try:
            recipients = sealing.recipients_of(options["recipient"] or settings.ENV["OLLAMAMAX_BACKUP_RECIPIENTS"])
            taken = take(source(), options["file"] or named_by_time(bool(recipients)), recipients)
        except (sealing.KeyUnusable, ArchiveBroken, BlobsRemoved) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The backup could not be written: {error.strerror}.") from error
        except psycopg.Error as error:
            raise CommandError(f"The database could not be read: {str(error).strip()}") from error
        except Unavailable as error:
            raise CommandError(error.message) from error
        note(taken)
        for digest in taken.missing:
            self.stderr.write(f"The installation lacks the bytes of {digest}, and so does the backup.")
        if options["json"]:
            self.stdout.write(json.dumps(told(taken)))
            return
        self.stdout.write(
            f"{taken.file}: {taken.rows} rows, {taken.files} files, {taken.bytes} bytes, as of {taken.taken_at:%FT%TZ}."
        )
        if taken.in_bucket:
            self.stderr.write(
                f"{taken.in_bucket} blobs lie in the bucket of OLLAMAMAX_BLOB_STORE, and are not in it: let the bucket keep versions, or copy it as well."
            )
        if not recipients:
            self.stderr.write("It is not encrypted and holds the installation's keys: keep it as safe as these.")


def source() -> Source:
    keys = fingerprints(settings.SECRET_KEY, settings.ENV["OLLAMAMAX_SECRET_BOX_KEYS"])
    blobs = bucket(settings.HOME, "blobs", settings.ENV)
    return Source(settings.ENV["DATABASE_URL"], settings.HOME, env.given(), keys, blobs)


def named_by_time(encrypted: bool) -> Path:
    at = datetime.datetime.now(datetime.UTC)
    folder: Path = settings.HOME / "backups"
    return folder / f"ollamamax-{at:%Y%m%dT%H%M%SZ}.tar{'.age' if encrypted else ''}"


def note(taken: Taken) -> None:
    detail = {name: value for name, value in told(taken).items() if name != "file"}
    note_backup(acting=system("ollamamax backup"), done="take", name=taken.file.name, detail=detail)


def told(taken: Taken) -> dict[str, Any]:
    return {
        "file": str(taken.file), "taken_at": taken.taken_at.isoformat(), "rows": taken.rows, "files": taken.files,
        "bytes": taken.bytes, "missing": list(taken.missing), "blobs_in_bucket": taken.in_bucket,
    }  # fmt: skip
