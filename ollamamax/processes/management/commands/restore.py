"""``ollamamax restore``: what `ollamamax backup` wrote, into an installation without data."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, transaction
from redis.exceptions import RedisError

from ollamamax.backup import sealing
from ollamamax.backup.actions import note_backup
from ollamamax.backup.archive import ArchiveBroken
from ollamamax.backup.contents import settings_in
from ollamamax.backup.restore import RestoreRefused, alone, restore
from ollamamax.backup.take import fingerprints
from ollamamax.kernel.principal import system
from ollamamax.metering.actions.usage import keep_usage
from ollamamax.processes.database_users import UserMissing, as_owner, prepare_user
from ollamamax.processes.management.commands.prepare import publish_all


class Command(BaseCommand):
    help = "Put a backup into an installation without data: all of it, or nothing when anything is wrong with it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--identity", type=Path, metavar="FILE", help="The age key that opens an encrypted backup.")
        parser.add_argument("--replace", action="store_true", help="Delete what the database holds.")
        parser.add_argument(
            "--settings-to", type=Path, metavar="FILE",
            help="Only write the settings that the backup holds to FILE, as NAME=value, secrets too; readable by its owner only.",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="Say what was done in JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            identities = sealing.identities_in(options["identity"]) if options["identity"] else []
            if options["settings_to"]:
                _write_settings(options["settings_to"], settings_in(options["file"], identities))
                return
            keys = fingerprints(settings.SECRET_KEY, settings.ENV["OLLAMAMAX_SECRET_BOX_KEYS"])
            with as_owner() as two_users, alone(), transaction.atomic():
                done = restore(options["file"], settings.HOME, keys, identities, replace=options["replace"])
                keep_usage()
                if two_users:
                    prepare_user()
        except (ArchiveBroken, sealing.KeyUnusable, RestoreRefused, UserMissing) as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        except OSError as error:
            raise CommandError(
                f"{error.filename or options['file']}: {error.strerror}. Nothing was changed."
            ) from error
        except Error as error:
            raise CommandError(f"The database refused: {str(error).strip()} Nothing was changed.") from error
        detail = {"taken_at": done.taken_at, "release": done.release, "rows": done.rows, "files": done.files}
        note_backup(acting=system("ollamamax restore"), done="restore", name=options["file"].name, detail=detail)
        try:
            publish_all()
        except RedisError as error:
            self.stderr.write(f"The directory is not published yet; the controller will do it: {error}")
        if options["json"]:
            self.stdout.write(json.dumps({"taken_at": done.taken_at, "rows": done.rows, "files": done.files}))
        else:
            self.stdout.write(f"Restored {done.rows} rows and {done.files} files as of {done.taken_at}.")


def _write_settings(file: Path, found: dict[str, str]) -> None:
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(found.items()))
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(lines)
