"""`manage.py migrate`, in place of Django's own: migrations see the rows of all tenants, which row-level security else hides from them.

And they run four times as quick.
"""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from ollamamax.identity.database.quick_state import quick_state
from ollamamax.identity.scope import every_tenant


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with every_tenant(), quick_state():
            super().handle(*args, **options)
