"""What is told of backups in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from django.db import transaction

from ollamamax.audit.actions import record
from ollamamax.kernel.principal import Principal


def note_backup(
    *, acting: Principal, done: Literal["take", "restore", "drill"], name: str, detail: Mapping[str, Any]
) -> None:
    """``name``: of the backup's file. In the system's chain."""
    with transaction.atomic(durable=True):
        record(
            acting=acting,
            action=f"backup.{done}",
            target_type="backup",
            target_id=name,
            tenant=None,
            detail=detail,
        )
