"""File: JSON lines that a tenant uploaded for a batch, or that a batch left. The bytes are in the file store."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class File(models.Model):
    """A row means that all bytes are stored; ``sha256`` is theirs."""

    class Purpose(models.TextChoices):
        BATCH = "batch"
        BATCH_OUTPUT = "batch_output"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[File] = tenant_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"),
                name="batches_file_sha256_form",
                violation_error_message="A SHA-256 has 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=models.Q(purpose__in=["batch", "batch_output"]),
                name="batches_file_purpose_known",
                violation_error_message="A file's purpose is batch or batch_output.",
            ),
        ]

    def __str__(self) -> str:
        return f"file-{self.id.hex}"
