"""The loop that reads blobs which nodes are to have, and notes the hashes of their pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from django.db import IntegrityError

from models_registry.actions.blob import blob_store
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, BlobPieces, Version
from ollamamax import logs
from ollamamax.blobs.store import Missing
from ollamamax.contract.peers import piece_size
from ollamamax.identity.scope import every_tenant

LEAST = 4 << 20
"""Nodes have smaller blobs whole."""
MOST_AT_ONCE = 4
_log = logs.get(__name__)


def hash_pieces(check: Callable[[], None] = lambda: None) -> list[str]:
    """Returns the digests of the blobs that were read. ``check`` is called for each piece and may raise. Queries: 1, and 1 for each blob."""
    with every_tenant():
        versions = Version.objects.filter(source=Version.Source.HOSTED)
        due = Blob.objects.filter(versions__in=versions, pieces=None, damaged_at=None, size__gte=LEAST)
        found = list(due.distinct().order_by("-created_at")[:MOST_AT_ONCE])
    done = []
    for blob in found:
        piece = piece_size(blob.size)
        try:
            hashes = b"".join(_hashes(blob_store().open_range(blob_key(blob.digest)), piece, check))
            BlobPieces.objects.create(blob=blob, piece=piece, hashes=hashes)
        except (Missing, IntegrityError) as error:
            _log.info("pieces_not_noted", digest=blob.digest, error=str(error)[:200])
        else:
            done.append(blob.digest)
    return done


def _hashes(parts: Iterable[bytes], piece: int, check: Callable[[], None]) -> Iterator[bytes]:
    found, left = hashlib.sha256(), piece
    for part in parts:
        rest = memoryview(part)
        while rest:
            taken = rest[:left]
            found.update(taken)
            rest, left = rest[len(taken) :], left - len(taken)
            if not left:
                check()
                yield found.digest()
                found, left = hashlib.sha256(), piece
    if left < piece:
        yield found.digest()
