"""`manage.py migrate`, in place of Django's own: migrations see the rows of all tenants, which row-level security else hides from them."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from ollamamax.identity.scope import every_tenant


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with every_tenant():
            super().handle(*args, **options)
