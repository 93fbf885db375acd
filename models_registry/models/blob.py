"""Blob: bytes known by their sha256. The row says they are stored; the bytes lie in the blob store."""

from __future__ import annotations

from django.db import models


class Blob(models.Model):
    """Shared by all tenants: equal bytes are stored once. Who may read them follows from versions."""

    digest = models.CharField(primary_key=True, max_length=71)
    size = models.PositiveBigIntegerField()
    media_type = models.CharField(max_length=200)
    unneeded_since = models.DateTimeField(null=True, blank=True, db_index=True)
    """Since when no version and no upload refers to it, as the collection found; its bytes go a while later."""
    verified_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """When its bytes were last read and found to be those of the digest."""
    damaged_at = models.DateTimeField(null=True, blank=True)
    """Since when the store does not have its bytes, or had others in their place. Nobody is told that it is here until it is repaired."""
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
