"""The registry's locks: held until the transaction ends; names before replicas and blobs, blobs in the order of their digests."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db import connection, transaction


def lock_names(tenant: uuid.UUID) -> None:
    """Nobody else changes what the tenant's names point at: a version must not go while another name takes it."""
    _lock(f"names:{tenant.hex}")


def lock_replicas() -> None:
    """Nobody else writes replicas, or deletes versions, which takes replicas along."""
    _lock("replicas")


def lock_blobs(digests: Iterable[str]) -> None:
    """Nobody else places or removes these blobs."""
    for digest in sorted(set(digests)):
        _lock(f"blob:{digest}")


def lock_mirror(mirror: uuid.UUID) -> None:
    """Nobody else changes what a mirror keeps; before the locks of its blobs."""
    _lock(f"mirror:{mirror.hex}")


def lock_jobs(tenant: uuid.UUID) -> None:
    """Nobody else asks for a job of this tenant."""
    _lock(f"jobs:{tenant.hex}")


def _lock(name: str) -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a lock outside a transaction would be let go at once")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
