"""A ZIP file that is written while it is sent, of files of JSON Lines: nothing of it lies on a disk, and a client that leaves ends it."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rest_framework.renderers import JSONRenderer

Row = Mapping[str, Any]
MANIFEST = "manifest.json"


class _Sink:
    """What `zipfile` writes to: it cannot go back, and so puts sizes behind what it wrote."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


def archive(files: Iterable[tuple[str, Iterable[Sequence[Row]]]], about: Row) -> Iterator[bytes]:
    """Each file is ``<name>.jsonl``, a row a line. The manifest comes last: ``about``, and of each file how many rows it has, its bytes and
    their SHA-256. An archive without one is not whole."""
    sink, listed = _Sink(), {}
    with zipfile.ZipFile(sink, "w", compression=zipfile.ZIP_DEFLATED) as out:  # type: ignore[call-overload] # it needs no more than this
        for name, pages in files:
            rows, size, sum_of = 0, 0, hashlib.sha256()
            with out.open(_entry(f"{name}.jsonl"), "w", force_zip64=True) as file:
                for page in pages:
                    text = b"".join(JSONRenderer().render(row) + b"\n" for row in page)
                    file.write(text)
                    sum_of.update(text)
                    rows, size = rows + len(page), size + len(text)
                    yield sink.taken()
            listed[f"{name}.jsonl"] = {"rows": rows, "bytes": size, "sha256": sum_of.hexdigest()}
        out.writestr(_entry(MANIFEST), json.dumps({**about, "files": listed}, indent=1) + "\n")
    yield sink.taken()


def _entry(name: str) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name, time.gmtime()[:6])
    found.compress_type = zipfile.ZIP_DEFLATED
    found.external_attr = 0o600 << 16
    return found
