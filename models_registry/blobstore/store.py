"""Content-addressed files: ``<root>/sha256/<two digits>/<64 digits>``. What is there is whole and verified."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

DIGEST = re.compile(r"^sha256:([0-9a-f]{64})$")
_CHUNK = 1 << 20


class BlobStore:
    """One folder of one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the blob lies or would lie. Raises `ValueError` for what is not a sha256 digest."""
        found = DIGEST.match(digest)
        if found is None:
            raise ValueError(f"not a sha256 digest: {digest!r}")
        return self.root / "sha256" / found[1][:2] / found[1]

    def add(self, file: Path) -> tuple[str, int]:
        """Copy a file in; returns its digest and size in bytes. Adding twice keeps the first.

        The copy is hashed while it is written, so that what is stored is what was hashed; it appears under its name only when whole.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        size = 0
        with (
            file.open("rb") as source,
            tempfile.NamedTemporaryFile(dir=self.root, prefix="incoming-", delete=False) as copy,
        ):
            try:
                while part := source.read(_CHUNK):
                    digest.update(part)
                    size += len(part)
                    copy.write(part)
                copy.flush()
                os.fsync(copy.fileno())
                name = f"sha256:{digest.hexdigest()}"
                path = self.path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                Path(copy.name).replace(path)
            except BaseException:
                Path(copy.name).unlink(missing_ok=True)
                raise
        return name, size
