"""Files and batches as OpenAI's objects (https://platform.openai.com/docs/api-reference/batch/object)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from ollamamax.batches.models import Batch, File
from ollamamax.batches.names import batch_name, file_name
from ollamamax.gateway.http import encode


def file_object(file: File) -> dict[str, Any]:
    """``sha256`` is an addition of ours."""
    return {
        "id": file_name(file.id),
        "object": "file",
        "bytes": file.size,
        "created_at": _seconds(file.created_at),
        "expires_at": _seconds(file.created_at + datetime.timedelta(days=settings.ENV["OLLAMAMAX_BATCH_DAYS"])),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
        "sha256": file.sha256,
    }


def batch_object(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch_name(batch.id),
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": file_name(batch.input_file),
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": file_name(batch.output_file) if batch.output_file else None,
        "error_file_id": file_name(batch.error_file) if batch.error_file else None,
        "created_at": _seconds(batch.created_at),
        "in_progress_at": _seconds(batch.in_progress_at),
        "expires_at": _seconds(batch.expires_at),
        "finalizing_at": _seconds(batch.finalizing_at),
        "completed_at": _seconds(batch.completed_at),
        "failed_at": _seconds(batch.failed_at),
        "expired_at": _seconds(batch.expired_at),
        "cancelling_at": _seconds(batch.cancelling_at),
        "cancelled_at": _seconds(batch.cancelled_at),
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.metadata,
    }


def page_object(rows: Sequence[dict[str, Any]], *, has_more: bool) -> bytes:
    return encode(
        {
            "object": "list",
            "data": rows,
            "first_id": rows[0]["id"] if rows else None,
            "last_id": rows[-1]["id"] if rows else None,
            "has_more": has_more,
        }
    )


def _seconds(moment: datetime.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
