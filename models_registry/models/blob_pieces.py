"""BlobPieces: the hashes of the pieces of a blob, by which nodes check what they have of each other."""

from __future__ import annotations

from django.db import models

from models_registry.models.blob import Blob


class BlobPieces(models.Model):
    """``hashes``: SHA-256 of each ``piece`` bytes in their order, 32 bytes each. Apart from the blob's row: for large blobs they are many."""

    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, primary_key=True, related_name="pieces")
    piece = models.PositiveBigIntegerField()
    hashes = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.blob_id} in pieces of {self.piece}"
