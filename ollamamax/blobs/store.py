"""What holds bytes under keys: how they are read, put and removed. Nobody outside this package knows where they lie."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from typing import BinaryIO, Protocol

from ollamamax.blobs.staging import Staged, Staging

_KEY = re.compile(r"[0-9a-z]+(/[0-9a-z]+)*")


class Missing(Exception):
    """No source holds anything under the key."""


class Store(Protocol):
    """One place for bytes, such as a folder (`ollamamax.blobs.disk`).

    A bucket fits as well: `stat` is its HEAD, `open_range` its GET of a range, `put` an upload, `delete` its DELETE. All of
    it blocks; async code reads through `ollamamax.blobs.reading`. What is under a key is whole, and never changes.
    """

    def stat(self, key: str) -> int | None:
        """How many bytes there are under the key; ``None`` for nothing."""

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Generator[bytes]:
        """The bytes from ``start`` on and before ``stop``, piece by piece. The first piece raises `Missing`."""

    def local_file(self, key: str) -> BinaryIO | None:
        """All of it as a file of this machine; ``None`` where it is none. Raises `Missing`."""

    def put(self, staged: Staged, key: str) -> None:
        """Take over what was gathered, finished and verified. What is there already stays."""

    def delete(self, key: str) -> None:
        """Nothing happens where nothing is."""

    def keys(self, *, older_than: float) -> Iterator[str]:
        """Of everything that was put so many seconds ago."""

    def mark(self, key: str) -> str | None:
        """Another one whenever other bytes were put under the key; ``None`` for nothing."""

    def claim(self) -> None:
        """Note that this is the right place: something that belongs here was found in it."""

    def is_there(self) -> bool | None:
        """Whether it is the place that was claimed: a disk that is not mounted looks like one on which everything was lost.

        ``None`` where nothing was claimed and nothing is.
        """


class Sources:
    """Places for the same bytes, the nearest first: the first has what is put, and reads ask each in turn.

    ``staging`` is where this machine gathers what comes in.
    """

    def __init__(self, staging: Staging, stores: Sequence[Store]) -> None:
        self.staging = staging
        self._stores = stores

    def stat(self, key: str) -> int | None:
        found = self._holder(key)
        return None if found is None else found[1]

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Generator[bytes]:
        found = self._holder(key)
        if found is None:
            raise Missing(key)
        yield from found[0].open_range(key, start, stop)

    def local_file(self, key: str) -> BinaryIO | None:
        found = self._holder(key)
        if found is None:
            raise Missing(key)
        return found[0].local_file(key)

    def put(self, staged: Staged, key: str) -> None:
        self._stores[0].put(staged, checked(key))

    def delete(self, key: str) -> None:
        for store in self._stores:
            store.delete(checked(key))

    def keys(self, *, older_than: float) -> Iterator[str]:
        seen: set[str] = set()
        for store in self._stores:
            for key in store.keys(older_than=older_than):
                if key not in seen:
                    seen.add(key)
                    yield key

    def mark(self, key: str) -> str | None:
        found = self._holder(key)
        return None if found is None else found[0].mark(key)

    def claim(self) -> None:
        for store in self._stores:
            store.claim()

    def is_there(self) -> bool:
        """Whether every place that was claimed is there, and one was."""
        found = {store.is_there() for store in self._stores}
        return True in found and False not in found

    def _holder(self, key: str) -> tuple[Store, int] | None:
        for store in self._stores:
            size = store.stat(checked(key))
            if size is not None:
                return store, size
        return None


def checked(key: str) -> str:
    """Raises `ValueError` for what is no key: words of small letters and digits, with slashes between."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not a key of a store: {key!r}")
    return key
