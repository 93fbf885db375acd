"""Blob: bytes known by their sha256. The row says they are stored; the bytes lie in the blob store."""

from __future__ import annotations

from django.db import models


class Blob(models.Model):
    """Shared by all tenants: equal bytes are stored once. Who may read them follows from versions."""

    digest = models.CharField(primary_key=True, max_length=71)
    size = models.PositiveBigIntegerField()
    media_type = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^sha256:[0-9a-f]{64}$"),
                name="registry_blob_digest_form",
                violation_error_message="A digest is sha256: and 64 hexadecimal digits.",
            ),
        ]

    def __str__(self) -> str:
        return self.digest
