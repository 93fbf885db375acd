"""``ollamamax audit_prune``: drops whole months of the audit trail that are older than it is kept, and the chains of removed tenants, as the owner of the tables."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.audit.notes import UntrustedKey
from ollamamax.audit.removal import drop_removed
from ollamamax.audit.retention import drop_expired
from ollamamax.processes.database_users import as_owner


class Command(BaseCommand):
    help = "Drop whole months of the audit trail, each after a signed checkpoint. Ends with 1 where one has to stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, help="Instead of OLLAMAMAX_AUDIT_DAYS.")

    def handle(self, *args: Any, days: int | None, **options: Any) -> None:
        days = settings.ENV["OLLAMAMAX_AUDIT_DAYS"] if days is None else days
        kept = False
        with as_owner():
            ended = drop_removed()
            for name, records in ended.items():
                self.stdout.write(f"The chain {name} of a removed tenant, {records} records: was dropped")
            if days < 1:
                if ended:
                    return
                raise CommandError("The trail is kept for ever: set OLLAMAMAX_AUDIT_DAYS, or say --days.")
            try:
                done = drop_expired(days, settings.HOME / "audit")
            except UntrustedKey as error:
                raise CommandError(str(error)) from error
            for each in done:
                kept = kept or bool(each.kept_for)
                told = f"stays: {each.kept_for}" if each.kept_for else "was dropped"
                self.stdout.write(f"{each.part}, {each.records} records of {each.chains} chains: {told}")
        if kept:
            sys.exit(1)
