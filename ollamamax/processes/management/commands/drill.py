"""``ollamamax drill``: restores a backup beside what runs, and says how old it was and how long that took."""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from psycopg import sql

from ollamamax.audit.verify import verify
from ollamamax.backup import sealing
from ollamamax.backup.actions import note_backup
from ollamamax.backup.archive import ArchiveBroken
from ollamamax.backup.restore import RestoreRefused, restore
from ollamamax.backup.take import BlobsRemoved, fingerprints, take
from ollamamax.kernel.principal import system
from ollamamax.processes.database_users import connected_by
from ollamamax.processes.management.commands.backup import source


@dataclass(frozen=True)
class Drill:
    """``recovery_point_seconds``: how much of the past a disaster at this moment would have cost; ``recovery_seconds``: what bringing it back took."""

    taken_at: str
    recovery_point_seconds: float
    recovery_seconds: float
    backup_seconds: float | None
    rows: int
    files: int
    audit_faults: int


class Command(BaseCommand):
    help = (
        "Restore a backup into a database and a folder of its own, check it, delete them, and say what time that took."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="Default: a backup that is taken now, and deleted.")
        parser.add_argument("--identity", type=Path, metavar="FILE", help="The age key that opens an encrypted backup.")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            identities = sealing.identities_in(options["identity"]) if options["identity"] else []
            with tempfile.TemporaryDirectory(dir=settings.HOME, prefix=".drill-") as folder:
                done = drill(Path(folder), options["file"], identities)
        except (ArchiveBroken, BlobsRemoved, sealing.KeyUnusable, RestoreRefused) as error:
            raise CommandError(str(error)) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError("The drill needs a database of its own: give the tables' owner CREATEDB.") from error
        name = options["file"].name if options["file"] else "taken now"
        note_backup(acting=system("ollamamax drill"), done="drill", name=name, detail=asdict(done))
        if options["json"]:
            self.stdout.write(json.dumps(asdict(done)))
        else:
            self.stdout.write(
                f"Recovery point: {done.recovery_point_seconds:.1f} s before the drill ({done.taken_at}).\n"
                f"Recovery time:  {done.recovery_seconds:.1f} s for {done.rows} rows and {done.files} files."
            )
        if done.audit_faults:
            raise CommandError(f"The restored audit trail has {done.audit_faults} faults.")


def drill(folder: Path, file: Path | None, identities: list[Any]) -> Drill:
    """``folder``: an empty one, for what is restored."""
    begun = datetime.datetime.now(datetime.UTC)
    backup_seconds = None
    if file is None:
        since = time.monotonic()
        file = take(source(), folder / "backup.tar").file
        backup_seconds = time.monotonic() - since
    keys = fingerprints(settings.SECRET_KEY, settings.ENV["OLLAMAMAX_SECRET_BOX_KEYS"])
    with _database() as url, connected_by(url):
        since = time.monotonic()
        done = restore(file, folder / "home", keys, identities)
        took = time.monotonic() - since
        faults = len(list(verify()))
    taken_at = datetime.datetime.fromisoformat(done.taken_at)
    behind = max(0.0, (begun - taken_at).total_seconds())
    return Drill(done.taken_at, behind, took, backup_seconds, done.rows, done.files, faults)


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """A new database of the tables' owner on the same server; it is gone afterwards."""
    owner = settings.ENV["DATABASE_OWNER_URL"] or settings.ENV["DATABASE_URL"]
    name = f"ollamamax_drill_{secrets.token_hex(4)}"
    with psycopg.connect(owner, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(owner)._replace(path=f"/{name}"))
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
