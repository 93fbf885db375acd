"""The disk that files come in to is not theirs alone: what would leave too little of it to everything else is refused."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from ollamamax.kernel.errors import OllamaMaxError

RESERVE = 256 << 20
"""Bytes that what comes in leaves to everything else."""


class DiskFull(OllamaMaxError):
    code = "insufficient_storage"
    status = 507


def require_free(folder: Path, size: int) -> None:
    """Raises `DiskFull` when ``size`` bytes more would leave less than the reserve on the disk of ``folder``, which is there."""
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise DiskFull(f"The disk is full: {size} bytes are needed, {free} are free, and {RESERVE} stay free.")


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk, or this user's part of it, is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def told_when_full() -> Iterator[None]:
    """Within, a write for which there is no room raises `DiskFull`."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise DiskFull(f"The disk is full: {error.strerror}.") from error
        raise
