"""Removes bytes that no file owns: uploads that broke off, outputs of a runner that died, files that were deleted."""

from __future__ import annotations

import uuid
from pathlib import Path

from ollamamax.batches.queries.file import known_ids
from ollamamax.batches.store import FileStore

PATIENCE = 3600.0
"""Seconds for which bytes may be there before their row is."""
_CHUNK = 500


def sweep_files(store: FileStore, *, older_than: float = PATIENCE) -> int:
    """Returns how many were removed."""
    some: list[tuple[Path, uuid.UUID | None]] = list(store.older_than(older_than))
    removed = 0
    for start in range(0, len(some), _CHUNK):
        chunk = some[start : start + _CHUNK]
        known = known_ids([key for _, key in chunk if key is not None])
        for path, key in chunk:
            if key is None or key not in known:
                path.unlink(missing_ok=True)
                removed += 1
    return removed
