"""``ollamamax reseal``: seals what is kept encrypted with the newest of OLLAMAMAX_SECRET_BOX_KEYS. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ollamamax.responses.actions.reseal import reseal


class Command(BaseCommand):
    help = "Seal what is kept encrypted with the newest of OLLAMAMAX_SECRET_BOX_KEYS, so that older keys can go."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{reseal()} rows were sealed anew.")
