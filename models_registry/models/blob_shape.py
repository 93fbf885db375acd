"""BlobShape: what the GGUF file in a blob says of its model that its memory follows from."""

from __future__ import annotations

from django.db import models

from models_registry.models.blob import Blob


class BlobShape(models.Model):
    """Of all tenants that have the blob. Read once, for bytes do not change."""

    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, primary_key=True, related_name="shape")
    shape = models.JSONField()
    """`cluster.placement.memory.WeightsShape`."""

    def __str__(self) -> str:
        return self.blob_id
