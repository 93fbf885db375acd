"""``ollamamax reseal``: seals what is kept encrypted with the newest of OLLAMAMAX_SECRET_BOX_KEYS. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ollamamax.processes.sealed import reseal


class Command(BaseCommand):
    help = "Seal what is kept encrypted with the newest of OLLAMAMAX_SECRET_BOX_KEYS, so that older keys can go."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        done = reseal()
        self.stdout.write(f"{done.sealed} rows were sealed anew.")
        if done.lost:
            raise CommandError(
                f"{done.lost} values were sealed with a key that is not in OLLAMAMAX_SECRET_BOX_KEYS; the log names each."
            )
