"""Which blobs the tenant in scope has."""

from __future__ import annotations

from django.db.models import Q, Sum

from models_registry.models import Blob, Upload, Version


def has_blob(digest: str) -> bool:
    """Whether the tenant sent it or has a version with it; a blob of others does not exist for it. Queries: 1 or 2."""
    return Upload.objects.filter(blob_id=digest).exists() or Version.objects.filter(blobs=digest).exists()


def find_blob(digest: str) -> Blob | None:
    """The blob, when the tenant in scope has it. Queries: 1."""
    return Blob.objects.filter(_ours(), pk=digest).first()


def blob_bytes() -> int:
    """Bytes of all blobs that the tenant has, each counted once. Queries: 1."""
    return int(Blob.objects.filter(_ours()).aggregate(all=Sum("size"))["all"] or 0)


def _ours() -> Q:
    return Q(pk__in=Upload.objects.values("blob_id")) | Q(pk__in=Version.objects.values("blobs"))
