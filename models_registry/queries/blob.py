"""Which blobs the tenant in scope has."""

from __future__ import annotations

from django.db.models import Q, Sum
from django.db.models.functions import Length

from models_registry.models import Blob, Image, MirroredBlob, Upload, Version


def has_blob(digest: str) -> bool:
    """Whether the tenant sent it, has a version with it or a mirror that keeps it, and its bytes are whole; a blob of others does not exist for it. Queries: 1."""
    return find_blob(digest) is not None


def find_blob(digest: str) -> Blob | None:
    """The blob, when the tenant in scope has it and its bytes are whole. Queries: 1."""
    return Blob.objects.filter(_ours(), pk=digest, damaged_at=None).first()


def blob_bytes() -> int:
    """Bytes of all blobs that the tenant has, each counted once, and of the manifests that it pushed. Queries: 2."""
    blobs = Blob.objects.filter(_ours()).aggregate(all=Sum("size"))["all"] or 0
    return int(blobs) + int(Image.objects.aggregate(all=Sum(Length("body")))["all"] or 0)


def _ours() -> Q:
    mirrored = MirroredBlob.objects.exclude(blob=None).values("blob_id")
    return Q(pk__in=Upload.objects.values("blob_id")) | Q(pk__in=Version.objects.values("blobs")) | Q(pk__in=mirrored)
