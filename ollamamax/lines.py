"""Lines for standard error, which gather for a moment and are written together. Knows nothing of what they say."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

STANDARD_ERROR = 2
GATHER_SECONDS = 0.1
_MOST = 2000
"""Lines that gather before whoever brings one more writes them itself, and so waits for a slow reader."""


class LogLines:
    """Whole lines, written in the order they came. For all threads of a process and for signal handlers; make one.

    What gathers is written at the latest `GATHER_SECONDS` later, at the end of the process, before a fork, and when
    SIGTERM comes, unless a handler for it was set later. SIGKILL and `os._exit` lose what has gathered. Nothing here raises.
    """

    def __init__(self) -> None:
        self.hear: Callable[[bytes], None] | None = None
        """Told each line besides, as it comes."""
        self._gathered: deque[bytes] = deque()
        self._at_end = False
        self._then: Callable[[int, FrameType | None], Any] | int | None = None
        """What SIGTERM does besides."""
        self._ended_by = 0
        """The signal that ends the process once the writing that it interrupted is done."""
        self._begin()
        atexit.register(self._end)
        os.register_at_fork(before=self.flush, after_in_child=self._begin)

    def _begin(self) -> None:
        # In a forked child: its threads are gone, locks may be held by them, and what gathered is the parent's to write.
        self._gathered.clear()
        self._writing = threading.RLock()
        self._writer: int | None = None
        """The thread that is writing; it may be interrupted by a signal handler that writes, too."""
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._woken = False
        self._thread: threading.Thread | None = None

    def gather(self, line: bytes) -> None:
        """Write the line, newline included, within a moment."""
        # No lock here, only steps that are whole: this runs in event loops and in signal handlers.
        self._gathered.append(line)
        if self.hear is not None:
            self.hear(line)
        if self._at_end or len(self._gathered) > _MOST:
            self.flush()
        elif not self._woken:
            self._woken = True
            if self._thread is None:
                self._start()
            self._wake.put(None)

    def write(self, line: bytes) -> None:
        """Write what has gathered, and the line, now."""
        self._gathered.append(line)
        if self.hear is not None:
            self.hear(line)
        self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        with self._writing:
            outer, self._writer = self._writer, threading.get_ident()
            while piece := self._piece():
                _write(piece)
            self._writer = outer
        if self._ended_by and outer is None and threading.current_thread() is threading.main_thread():
            self._end_by(self._ended_by, None)

    def _piece(self) -> bytes:
        """Take the oldest lines: as many as a pipe keeps together when other processes write to it too."""
        taken: list[bytes] = []
        size = 0
        # A signal handler may write here between any two steps, so that nothing is there any more.
        with contextlib.suppress(IndexError):
            while True:
                line = self._gathered.popleft()
                if taken and size + len(line) > select.PIPE_BUF:
                    self._gathered.appendleft(line)
                    break
                taken.append(line)
                size += len(line)
        return b"".join(taken)

    def _start(self) -> None:
        with self._writing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(self._wake,), name="lines", daemon=True)
                self._thread.start()

    def _run(self, wake: queue.SimpleQueue[None]) -> None:
        while True:
            wake.get()
            time.sleep(GATHER_SECONDS)
            # Before the writing: who brings a line and still finds us woken has its line written below.
            self._woken = False
            self.flush()

    def _end(self) -> None:
        # From here on no thread may live long enough.
        self._at_end = True
        self.flush()

    def flush_before_sigterm_ends_us(self) -> None:
        """To be called in the main thread. A handler that is there already has its turn afterwards; one that comes later replaces this."""
        handler = signal.getsignal(signal.SIGTERM)
        if handler is signal.SIG_DFL or (callable(handler) and handler != self._end_by):
            self._then = handler
            signal.signal(signal.SIGTERM, self._end_by)

    def _end_by(self, number: int, frame: FrameType | None) -> None:
        if self._writer == threading.get_ident():
            self._ended_by = number
            return
        self.flush()
        if callable(self._then):
            self._then(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _write(data: bytes) -> None:
    # Whoever reads may be gone, or the disk full: no reason to fail what is logged about.
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(STANDARD_ERROR, data) :]
