"""`manage.py audit verify`, `audit heads` and `audit key`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.notes import NotesAltered, every_note, public_key, trusted_keys
from ollamamax.audit.published import last_of, published
from ollamamax.audit.removal import without_removed
from ollamamax.audit.segments import Head
from ollamamax.audit.verify import heads, verify
from ollamamax.blobs.places import heads_bucket
from ollamamax.kernel.errors import Unavailable


class Command(BaseCommand):
    help = "Check that no audit record was altered, removed, moved or inserted; or note where the chains end."

    def add_arguments(self, parser: CommandParser) -> None:
        # Django's own parser class takes arguments that argparse's subparsers do not pass.
        commands = parser.add_subparsers(dest="command", required=True, parser_class=argparse.ArgumentParser)
        check = commands.add_parser("verify", help="Check every chain. Ends with 1 and says which record is wrong.")
        check.add_argument(
            "--heads", type=Path, help="A file that `audit heads` wrote earlier, kept where nobody could alter it."
        )
        check.add_argument(
            "--processes",
            type=int,
            default=os.cpu_count() or 1,
            help="Processes that compute hashes at once; as many as there are cores.",
        )
        commands.add_parser("heads", help="Write where each chain ends, as JSON, to be kept outside the database.")
        commands.add_parser(
            "key", help="Write the public key that signs notes and checkpoints here, to be pinned elsewhere."
        )

    def handle(self, *args: Any, command: str, heads: Path | None = None, processes: int = 1, **options: Any) -> None:
        if command == "heads":
            self._write_heads()
        elif command == "key":
            self.stdout.write(public_key(settings.HOME / "audit") or "")
        else:
            self._verify(heads, max(1, processes))

    def _write_heads(self) -> None:
        self.stdout.write(json.dumps({name: list(head) for name, head in heads()}, indent=1))

    def _verify(self, file: Path | None, processes: int) -> None:
        count = 0
        trusted = trusted_keys(settings.HOME / "audit")
        try:
            every = self._noted(trusted)
        except NotesAltered as error:
            self.stderr.write(f"The signed notes were tampered with: {error}.")
            sys.exit(1)
        for name, head in (_read(file) if file else {}).items():
            every.setdefault(name, []).append(head)
        known = without_removed(last_of(every), trusted)
        for problem in verify(known, trusted, earlier=every, processes=processes):
            count += 1
            self.stderr.write(str(problem))
        if count:
            self.stderr.write(f"The audit trail was tampered with: {count} problems.")
            sys.exit(1)
        self.stdout.write(f"The audit trail is whole: {AuditRecord.objects.count()} records, {len(heads())} chains.")

    def _noted(self, trusted: frozenset[str]) -> dict[str, list[Head]]:
        """What was noted here, and published where that is set up. Raises `NotesAltered`."""
        every = every_note(settings.HOME / "audit")
        store = heads_bucket(settings.HOME, settings.ENV)
        if store is None:
            return every
        try:
            there, others = published(store, trusted)
        except Unavailable as error:
            raise CommandError(f"The published heads cannot be read: {error.message}") from error
        for name, some in there.items():
            every.setdefault(name, []).extend(some)
        for key in others:
            self.stderr.write(f"Heads that the key {key} signed do not count: OLLAMAMAX_AUDIT_KEYS does not have it.")
        return every


def _read(file: Path) -> dict[str, Head]:
    try:
        return {name: Head(int(seq), str(digest)) for name, (seq, digest) in json.loads(file.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CommandError(f"{file} is not a file that `audit heads` wrote: {error}") from error
