"""The cast: the same people and keys in every test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection


@pytest.fixture(scope="session", autouse=True)
def _audit_trail_can_be_flushed() -> Iterator[None]:
    """Tests with real transactions empty all tables after them, which the audit trail's triggers refuse.

    As superuser, and for that one transaction, the triggers do not fire.
    """
    original = connection.ops.sql_flush

    def sql_flush(*args: Any, **kwargs: Any) -> list[str]:
        return ["SET LOCAL session_replication_role = replica", *original(*args, **kwargs)]

    connection.ops.sql_flush = sql_flush  # type: ignore[method-assign]
    yield
    connection.ops.sql_flush = original  # type: ignore[method-assign]


@pytest.fixture
def redis_url() -> str:
    """This process's own Valkey."""
    url: str = settings.REDIS_URL
    return url
