"""The loop that reads what the GGUF files in blobs say of their models, so that the memory which these need is known."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from django.db import IntegrityError

from cluster.engines.gguf_metadata import metadata_in
from cluster.placement.memory import WeightsShape, shape_of
from models_registry.actions.blob import blob_store
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, BlobShape, Version
from ollamamax import logs
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.store import Missing
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import EngineFailed

MOST_AT_ONCE = 4
_NO_GGUF = WeightsShape(unknown="it is no GGUF file that can be read")
_log = logs.get(__name__)


def read_shapes(check: Callable[[], None] = lambda: None) -> list[str]:
    """Returns the digests of the blobs that were read, a few at once. ``check`` may raise before each. Queries: 1, and 1 for each blob."""
    with every_tenant():
        versions = Version.objects.filter(source=Version.Source.HOSTED)
        due = Blob.objects.filter(versions__in=versions, shape=None, damaged_at=None)
        found = list(due.distinct().order_by("-created_at")[:MOST_AT_ONCE])
    done = []
    for blob in found:
        check()
        try:
            shape = _read(blob.digest)
            BlobShape.objects.create(blob=blob, shape=msgspec.to_builtins(shape))
        except (Missing, IntegrityError) as error:
            _log.info("shape_not_noted", digest=blob.digest, error=str(error)[:200])
        else:
            done.append(blob.digest)
    return done


def _read(digest: str) -> WeightsShape:
    with open_file(blob_store(), blob_key(digest)) as file:
        try:
            return shape_of(metadata_in(file, digest))
        except EngineFailed:
            return _NO_GGUF
