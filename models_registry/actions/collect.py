"""Collection of blobs that nobody needs: marked when nobody refers to them, and removed a while later if that is so still.

Who was told that a blob is there, or reads it, has that while. A blob is placed and removed under the lock of its digest; its file goes before its
row, so that one who is killed between leaves a row that the next run removes.
"""

from __future__ import annotations

import datetime
import itertools

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from models_registry.actions.blob import KEEP_UPLOADS, blob_store
from models_registry.actions.lock import lock_blobs
from models_registry.blob_keys import blob_key, digest_in
from models_registry.models import Blob, MirroredBlob, Upload, Version
from ollamamax import logs
from ollamamax.identity.scope import every_tenant

KEEP_PARTS = datetime.timedelta(days=7)
MOST_AT_ONCE = 1000
"""Blobs that one run removes: the next one goes on."""
_log = logs.get(__name__)


def grace() -> datetime.timedelta:
    """How long a blob that nobody refers to stays."""
    return datetime.timedelta(seconds=settings.ENV["OLLAMAMAX_BLOB_GRACE_SECONDS"])


def collect_garbage(grace: datetime.timedelta) -> int:
    """Forget old uploads, mark blobs that nobody refers to, and remove those that were marked for so long. Safe to run twice.

    Returns how many blobs went. Queries: 4, and 4 for each blob that goes.
    """
    now = timezone.now()
    with every_tenant():
        Upload.objects.filter(sent_at__lt=now - KEEP_UPLOADS).delete()
        Blob.objects.exclude(unneeded_since=None).exclude(pk__in=_unneeded()).update(unneeded_since=None)
        _unneeded().filter(unneeded_since=None).update(unneeded_since=now)
        marked = _unneeded().filter(unneeded_since__lte=now - grace).order_by("unneeded_since")
        removed = sum(_remove(digest) for digest in marked.values_list("digest", flat=True)[:MOST_AT_ONCE])
    left = blob_store().staging.forget_left(KEEP_UPLOADS.total_seconds(), KEEP_PARTS.total_seconds())
    if removed or left:
        _log.info("garbage_collected", blobs=removed, files=left)
    return removed


def collect_orphans(grace: datetime.timedelta) -> int:
    """Remove files of the store of which no row tells, as those leave who die between writing one and telling of it. Returns how many."""
    removed = 0
    keys = blob_store().keys(older_than=grace.total_seconds())
    while some := list(itertools.islice(keys, MOST_AT_ONCE)):
        digests = {digest_in(key) for key in some} - {""}
        known = set(Blob.objects.filter(pk__in=digests).values_list("pk", flat=True))
        removed += sum(_remove_orphan(digest) for digest in sorted(digests - known))
    if removed:
        _log.info("orphans_removed", files=removed)
    return removed


def _unneeded() -> QuerySet[Blob]:
    """Looked at blob by blob, and not by a list of all that are needed."""
    held = Version.blobs.through.objects.filter(blob_id=OuterRef("pk"))
    sent = Upload.objects.filter(blob_id=OuterRef("pk"))
    mirrored = MirroredBlob.objects.filter(blob_id=OuterRef("pk"))
    return Blob.objects.filter(~Exists(held), ~Exists(sent), ~Exists(mirrored))


def _remove(digest: str) -> bool:
    with transaction.atomic(durable=True):
        lock_blobs([digest])
        if not _unneeded().filter(pk=digest).exists():
            return False
        # Within the lock, or it would take the file of somebody who sends the same bytes at this moment.
        blob_store().delete(blob_key(digest))
        Blob.objects.filter(pk=digest).delete()
    return True


def _remove_orphan(digest: str) -> bool:
    with transaction.atomic(durable=True):
        lock_blobs([digest])
        if Blob.objects.filter(pk=digest).exists():
            return False
        blob_store().delete(blob_key(digest))
    return True
