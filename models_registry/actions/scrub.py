"""Scrubbing: what the store holds is read again now and then; what rotted is taken away, and had again from a node that has it whole."""

from __future__ import annotations

import datetime
import errno
import hashlib
import random
import time
from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from models_registry.actions.blob import blob_store
from models_registry.actions.lock import lock_blobs
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, Replica
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.blobs.staging import Staged
from ollamamax.blobs.store import Missing
from ollamamax.bus import keys
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound, Unavailable
from ollamamax.kernel.principal import Principal, system

AGAIN = datetime.timedelta(days=7)
"""A blob is read again after so long."""
MOST_BYTES = 2 << 30
"""One run begins no further blob after so many bytes."""
BYTES_PER_SECOND = 128 << 20
"""Reading goes no faster, for the sake of those who pull."""
ASK_AGAIN_SECONDS = 60
_LOOK = 64 << 20
_log = logs.get(__name__)


def scrub_blobs(check: Callable[[], None], *, again: datetime.timedelta = AGAIN) -> list[str]:
    """Read blobs that were not read for long, and take away those that are not what they were. Returns their digests.

    ``check`` is called now and then and may raise. Raises `Unavailable` where what is missing is the whole store. Queries: 2, and 1 or 7 for each blob.
    """
    store = blob_store()
    for digest in Blob.objects.exclude(damaged_at=None).values_list("pk", flat=True):
        _take_away(digest)  # what one left who died before he did
    due = Blob.objects.filter(Q(verified_at=None) | Q(verified_at__lt=timezone.now() - again), damaged_at=None)
    found, size = [], 0
    for blob in due.order_by(F("verified_at").asc(nulls_first=True), "digest").iterator():
        if size > MOST_BYTES:
            break
        size += blob.size
        mark = store.mark(blob_key(blob.digest))
        # Read twice before it is believed to be damaged: what stands in memory may have been.
        if _whole(blob, check) or _whole(blob, check):
            Blob.objects.filter(pk=blob.pk).update(verified_at=timezone.now())
            store.claim()
            continue
        if not store.is_there():
            raise Unavailable("The blobs lie on another disk than they did: nothing is called damaged.")
        if note_damage(acting=system("models_registry.scrub_blobs"), digest=blob.digest, mark=mark):
            found.append(blob.digest)
    return found


def _whole(blob: Blob, check: Callable[[], None]) -> bool:
    digest, size, began = hashlib.sha256(), 0, time.monotonic()
    try:
        for piece in blob_store().open_range(blob_key(blob.digest)):
            digest.update(piece)
            size += len(piece)
            if size // _LOOK > (size - len(piece)) // _LOOK:
                check()
            time.sleep(max(0.0, size / BYTES_PER_SECOND - (time.monotonic() - began)))
    except Missing:
        return False
    except OSError as error:
        if error.errno != errno.EIO:
            raise  # it says nothing of the blob
        return False
    return f"sha256:{digest.hexdigest()}" == blob.digest


def note_damage(*, acting: Principal, digest: str, mark: str | None) -> bool:
    """Take away what stands in place of the blob's bytes. ``mark`` is the store's, of what was read.

    ``False`` where the blob was removed meanwhile, or other bytes were put there: those are read at the next look.
    """
    with transaction.atomic(durable=True):
        lock_blobs([digest])
        if blob_store().mark(blob_key(digest)) != mark:
            return False
        if not Blob.objects.filter(pk=digest, damaged_at=None).update(damaged_at=timezone.now()):
            return False
        record(acting=acting, action="blob.damaged", target_type="blob", target_id=digest, tenant=None)
    # Once that is known for good: else one who dies between would leave a row that promises bytes which are gone.
    _take_away(digest)
    _log.error("blob_damaged", digest=digest)
    return True


def _take_away(digest: str) -> None:
    with transaction.atomic(durable=True):
        lock_blobs([digest])
        if is_damaged(digest):
            blob_store().delete(blob_key(digest))


def repair_blobs(check: Callable[[], None]) -> list[str]:
    """Ask for every damaged blob one of the nodes that have it whole. Returns those that were asked for. Queries: 2."""
    check()
    asked = []
    with every_tenant():
        damaged = list(Blob.objects.exclude(damaged_at=None).values_list("pk", flat=True))
        ready = Replica.objects.filter(version__blobs__in=damaged, state=Replica.State.READY)
        pairs = list(ready.filter(node__tenant=F("version__tenant")).values_list("version__blobs", "node_id"))
    for digest in damaged:
        if nodes := sorted({node for blob, node in pairs if blob == digest}):
            _ask(random.choice(nodes).hex, digest)  # noqa: S311 - another one each time
            asked.append(digest)
    return asked


def _ask(node: str, digest: str) -> None:
    current_app.send_task(
        "models_registry.return_blob",
        kwargs={"digest": digest, "base_url": settings.PUBLIC_URL},
        queue=keys.node_queue(node),
        expires=ASK_AGAIN_SECONDS,
    )
    _log.info("blob_asked_back", node=node, digest=digest)


def is_damaged(digest: str) -> bool:
    return Blob.objects.filter(pk=digest).exclude(damaged_at=None).exists()


def restore_blob(*, acting: Principal, staged: Staged, digest: str) -> None:
    """Take a damaged blob back from a node; the caller checked what came. Raises `NotFound` for one that is not damaged any more."""
    with transaction.atomic(durable=True):
        lock_blobs([digest])
        if not is_damaged(digest):
            raise NotFound("This blob is not asked for.")
        blob_store().delete(blob_key(digest))
        blob_store().put(staged, blob_key(digest))
        Blob.objects.filter(pk=digest).update(damaged_at=None, verified_at=timezone.now())
        record(acting=acting, action="blob.repair", target_type="blob", target_id=digest, tenant=acting.tenant)
    _log.info("blob_repaired", digest=digest, node=acting.id)
