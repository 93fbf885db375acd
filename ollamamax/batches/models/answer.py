"""Answer: what came of one line of a batch, kept until the batch's output is written."""

from __future__ import annotations

from django.db import models

from ollamamax.batches.models.batch import Batch
from ollamamax.identity.scope import tenant_manager


class Answer(models.Model):
    """``number`` counts the lines of the input from 1; ``line`` is the line of the output, without its end.

    The database keeps a line from being answered twice, whoever runs the batch.
    """

    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    is_success = models.BooleanField()
    line = models.BinaryField()

    objects: models.Manager[Answer] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "number"],
                name="batches_answer_once",
                violation_error_message="This line of the batch has its answer already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.batch_id.hex}:{self.number}"
