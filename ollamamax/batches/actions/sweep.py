"""Removes bytes that no file owns: uploads that broke off, outputs of a runner that died, files that were deleted."""

from __future__ import annotations

import itertools
import re
import uuid

from ollamamax.batches.queries.file import known_ids
from ollamamax.blobs.store import Sources

PATIENCE = 3600.0
"""Seconds for which bytes may be there before their row is."""
_CHUNK = 500
_ID = re.compile(r"[0-9a-f]{32}")


def sweep_files(store: Sources, *, older_than: float = PATIENCE) -> int:
    """Returns how many were removed."""
    removed = store.staging.forget_left(older_than, older_than)
    keys = iter([key for key in store.keys(older_than=older_than) if _ID.fullmatch(key)])
    while chunk := list(itertools.islice(keys, _CHUNK)):
        known = {file.hex for file in known_ids([uuid.UUID(key) for key in chunk])}
        for key in chunk:
            if key not in known:
                store.delete(key)
                removed += 1
    return removed
