"""Connections that tell PostgreSQL whose scope it is, before a statement in another one than the last: row-level security goes by that.

The setting holds for the session and not for a transaction, as most reads are in none. One that was made in a transaction goes with it
when that is rolled back: after every rollback it is told anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base
from django_scopes import get_scope

EVERY = "*"
NONE = ""


def scope_text() -> str:
    """What the policies compare with: a tenant's UUID as hex, ``*`` for every tenant, empty outside of any scope."""
    held = get_scope()
    if not held:
        return NONE
    if not held.get("_enabled", True):
        return EVERY
    tenant = held.get("tenant")
    return NONE if tenant is None else str(tenant.hex)


class DatabaseWrapper(base.DatabaseWrapper):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._told: str | None = None
        self.execute_wrappers.append(self._in_scope)

    def init_connection_state(self) -> None:
        self._told = None
        super().init_connection_state()

    def _rollback(self) -> None:
        self._told = None
        super()._rollback()  # type: ignore[misc] # the stubs leave it out

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]
        self._told = None

    def _in_scope(self, run: Callable[..., Any], statement: Any, parameters: Any, many: bool, context: Any) -> Any:
        wanted = scope_text()
        # Which reads nothing, and must come first in its transaction.
        if wanted != self._told and not str(statement).startswith("SET TRANSACTION"):
            self._told = None
            with self.wrap_database_errors:
                self.connection.execute("SELECT set_config('omx.tenant', %s, false)", [wanted])
            self._told = wanted
        return run(statement, parameters, many, context)
