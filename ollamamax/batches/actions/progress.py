"""How far a batch got, written by the runner that holds it. Each write is one transaction and names the runner.

A batch that another runner has claimed meanwhile is left alone: `LeaseLost` is raised, and nothing was written.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils import timezone

from ollamamax.batches.actions.bounded import bounded
from ollamamax.batches.models import Answer, Batch, File
from ollamamax.batches.queries.batch import BatchAnswer
from ollamamax.identity.scope import tenant_scope

Status = Batch.Status


class LeaseLost(Exception):
    """The batch is another runner's now."""


@dataclass(frozen=True)
class Written:
    """A file of output whose bytes are stored."""

    id: uuid.UUID
    name: str
    size: int
    sha256: str


def begin(batch: Batch, runner: str, total: int) -> None:
    """The input is good and has ``total`` requests. Does nothing for a batch that was cancelled meanwhile."""
    _move(batch, runner, Status.VALIDATING, status=Status.IN_PROGRESS, total=total, in_progress_at=timezone.now())


def begin_finalizing(batch: Batch, runner: str) -> None:
    """Every line has its answer. Does nothing for a batch that was cancelled meanwhile."""
    _move(batch, runner, Status.IN_PROGRESS, status=Status.FINALIZING, finalizing_at=timezone.now())


def add_answers(batch: Batch, runner: str, answers: Sequence[BatchAnswer]) -> None:
    """Store answers and count them, together or not at all. Raises `LeaseLost`."""
    good = sum(answer.is_success for answer in answers)
    with tenant_scope(batch.tenant_id), bounded():
        # First of all: it locks the row, so that the batch cannot be claimed by another until this is over.
        counted = Batch.objects.filter(pk=batch.pk, runner=runner).update(
            completed=models.F("completed") + good, failed=models.F("failed") + len(answers) - good
        )
        if not counted:
            raise LeaseLost
        Answer.objects.bulk_create(
            Answer(
                tenant_id=batch.tenant_id,
                batch_id=batch.pk,
                number=each.number,
                is_success=each.is_success,
                line=each.line,
            )
            for each in answers
        )


def finish(
    batch: Batch,
    runner: str,
    end: Batch.Status,
    *,
    output: Written | None = None,
    error: Written | None = None,
    problems: Sequence[dict[str, Any]] = (),
) -> bool:
    """End the batch with its files. False, and nothing is written, when its status has changed since it was read.

    Raises `LeaseLost`.
    """
    with tenant_scope(batch.tenant_id), bounded():
        now = Batch.objects.select_for_update().filter(pk=batch.pk, runner=runner).first()
        if now is None:
            raise LeaseLost
        if now.status != batch.status:
            return False
        for written in (output, error):
            if written is not None:
                File.objects.create(
                    id=written.id,
                    tenant_id=batch.tenant_id,
                    purpose=File.Purpose.BATCH_OUTPUT,
                    name=written.name,
                    size=written.size,
                    sha256=written.sha256,
                )
        now.status = end
        now.output_file = output.id if output else None
        now.error_file = error.id if error else None
        now.errors = list(problems)
        now.runner, now.lease_until = "", None
        setattr(now, f"{end.value}_at", timezone.now())
        now.save()
        Answer.objects.filter(batch=now).delete()
    return True


def _move(batch: Batch, runner: str, expected: Batch.Status, **changes: Any) -> None:
    with tenant_scope(batch.tenant_id):
        held = Batch.objects.filter(pk=batch.pk, runner=runner)
        if not held.filter(status=expected).update(**changes) and not held.exists():
            raise LeaseLost
