"""Has what was written go to the disk while more comes in, so that little is left to wait for in the end."""

from __future__ import annotations

import ctypes
from typing import BinaryIO

EVERY = 16 << 20
_WRITE = 2  # SYNC_FILE_RANGE_WRITE of linux/fs.h
_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)  # Linux has it
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_writeback(file: BinaryIO, start: int, stop: int) -> None:
    """Of these bytes of a file, which were flushed. It promises nothing: whoever needs them there waits for ``fsync``."""
    if _sync_file_range is not None:
        _sync_file_range(file.fileno(), start, stop - start, _WRITE)
