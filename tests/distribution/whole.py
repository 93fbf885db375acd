"""Whether the registry holds what it says, byte for byte, and nothing that nobody needs."""

from __future__ import annotations

import datetime
import hashlib

from models_registry.actions.blob import blob_store
from models_registry.actions.collect import collect_garbage, collect_orphans
from models_registry.blob_keys import blob_key, digest_in
from models_registry.models import Blob, Image, Upload, Version
from ollamamax.blobs.store import Missing
from ollamamax.identity.scope import every_tenant

AT_ONCE = datetime.timedelta(0)


def broken() -> list[str]:
    """What is visible, and not whole."""
    with every_tenant():
        found = [
            f"{each.digest}: a manifest" for each in Image.objects.all() if _sha256(bytes(each.body)) != each.digest
        ]
        for version in Version.objects.exclude(source=Version.Source.EXTERNAL).prefetch_related("blobs"):
            blobs = {blob.digest: blob for blob in version.blobs.all()}
            layers = {each["digest"] for each in version.manifest.get("layers", [])}
            found += [f"{version.digest}: a layer without a blob: {digest}" for digest in layers - blobs.keys()]
            # What is damaged is told to nobody until it is repaired.
            found += [
                f"{version.digest}: {digest}"
                for digest, blob in blobs.items()
                if not (blob.damaged_at or _whole(digest))
            ]
    return found


def left_over() -> list[str]:
    """Bytes without a row, and rows that nobody needs, once uploads are over and everything was collected twice."""
    with every_tenant():
        Upload.objects.all().delete()
        for _ in range(2):
            collect_garbage(AT_ONCE)
            collect_orphans(datetime.timedelta(seconds=-60))
        rows = set(Blob.objects.values_list("pk", flat=True))
        needed = set(Blob.objects.exclude(versions=None).values_list("pk", flat=True))
    files = {digest_in(key) for key in blob_store().keys(older_than=-60)}
    return sorted((files - rows) | (rows - needed))


def _whole(digest: str) -> bool:
    try:
        return _sha256(b"".join(blob_store().open_range(blob_key(digest)))) == digest
    except Missing:
        return False


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
