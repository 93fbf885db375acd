"""Upload: a tenant sent the whole of a blob, and so may use it for a version. Forgotten a while after the last sending."""

from __future__ import annotations

from django.db import models

from models_registry.models.blob import Blob
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Upload(models.Model):
    """Knowing a digest gives nobody its bytes: a tenant has a blob by this row, or by one of its versions.

    ``repository``: the model whose repository it was sent to by the registry protocol; empty for what was sent for any model.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="uploads")
    repository = models.CharField(max_length=200, default="", blank=True)
    sent_at = models.DateTimeField()

    objects: models.Manager[Upload] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "blob", "repository"],
                name="registry_upload_unique",
                violation_error_message="The tenant has sent this blob already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.blob_id} of {self.tenant_id}"
