"""The second wall between tenants: row-level security on every table that has a tenant. The first is `ollamamax.identity.scope`."""

from __future__ import annotations

from typing import Any

from django.db import connections


def build(*, using: str, **_: Any) -> None:
    """After all migrations, as the tables' owner: tables that are new get their policies. Safe to repeat."""
    with connections[using].cursor() as cursor:
        # Of migrations up to an early one only, as in tests, the function is not there.
        cursor.execute("SELECT to_regproc('keep_tenants_apart')")
        if cursor.fetchone() != (None,):
            cursor.execute("SELECT keep_tenants_apart()")
