"""Lines for standard error, which gather for a moment and are written together. Knows nothing of what they say.

Whoever brings a line never waits for whoever reads them: where nothing can be written, lines gather, and beyond a bound they are counted
and lost. The standard library's queue handler with its listener does the same for its own bound, at three times the processor time a line
and with a write for each (`docs/performance-history.md`); it also loses what its queue holds when SIGTERM or a fork comes.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import queue
import select
import signal
import stat
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

STANDARD_ERROR = 2
GATHER_SECONDS = 0.1
_MANY = 2000
"""Lines that gather before whoever brings one more tries to write them."""
_MOST = 20_000
"""Lines that are held while nobody reads them; of more only the number is told."""
_OTHERS = 0.2
"""Seconds for which a line that is to be written at once waits for another thread's writing, unless that waits for the reader."""
_LAST = 2.0
"""Seconds for which the end of the process waits for whoever reads."""
_ANY = 1 << 40
_LINUX = sys.platform == "linux"


class LogLines:
    """Whole lines, written in the order they came. For all threads of a process and for signal handlers; make one.

    What gathers is written at the latest `GATHER_SECONDS` later, at the end of the process, before a fork, and when
    SIGTERM comes, unless a handler for it was set later: as far as it can be written then. SIGKILL and `os._exit` lose what has gathered.
    Nothing here raises, and nothing waits for a reader but the thread that writes, and the end of the process for `_LAST` seconds.
    """

    def __init__(self) -> None:
        self.hear: Callable[[bytes], None] | None = None
        """Told each line besides, as it comes."""
        self.tell_lost: Callable[[int], bytes] = lambda count: b"%d lines were lost\n" % count
        """Makes the line that says how many are missing there."""
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
        self._stuck = False
        """Whether the reader was waited for and did not read."""
        self._lost = 0

    def gather(self, line: bytes) -> None:
        """Write the line, newline included, within a moment."""
        # No lock here, only steps that are whole: this runs in event loops and in signal handlers.
        self._hold(line)
        if self._at_end:
            self._flush_at_last()
        elif len(self._gathered) > _MANY and not self._stuck:
            self.flush()
        elif not self._woken:
            self._wake_up()

    def write(self, line: bytes) -> None:
        """Write what has gathered, and the line, now, if that can be written."""
        self._hold(line)
        self.flush()

    def _hold(self, line: bytes) -> None:
        if len(self._gathered) < _MOST:
            self._gathered.append(line)
        else:
            self._lost += 1
        if self.hear is not None:
            self.hear(line)

    def _wake_up(self) -> None:
        self._woken = True
        if self._thread is None:
            self._start()
        self._wake.put(None)

    def flush(self, *, patient: bool = False) -> None:
        """Write of what has gathered all that is taken at once; the thread writes the rest. ``patient``: a long line may wait for its reader."""
        outer: int | None = None
        if self._writing.acquire(timeout=0 if self._stuck and not patient else _OTHERS):
            outer, self._writer = self._writer, threading.get_ident()
            try:
                while self._gathered and (room := _room(patient=patient)) and (piece := self._piece(room)):
                    _write(piece)
            finally:
                self._writer = outer
                self._writing.release()
        if self._gathered and not patient:
            self._stuck = True
            if not self._woken and not self._at_end:
                self._wake_up()
        if self._ended_by and outer is None and threading.current_thread() is threading.main_thread():
            self._end_by(self._ended_by, None)

    def _piece(self, room: int) -> bytes:
        """Take the oldest lines: as many as a pipe keeps together when other processes write to it too; none when the oldest has no room."""
        taken: list[bytes] = []
        size = 0
        # A signal handler may write here between any two steps, so that nothing is there any more.
        with contextlib.suppress(IndexError):
            while True:
                line = self._gathered.popleft()
                if size + len(line) > (select.PIPE_BUF if taken else max(room, select.PIPE_BUF)):
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
            while self._gathered:
                _await_room(1.0)
                self.flush(patient=True)
            self._stuck = False
            if self._lost:
                lost, self._lost = self._lost, 0
                self.write(self.tell_lost(lost))

    def _flush_at_last(self) -> None:
        until = time.monotonic() + _LAST
        self.flush()
        while self._gathered and (left := until - time.monotonic()) > 0:
            _await_room(min(left, 0.1))
            self.flush()

    def _end(self) -> None:
        # From here on no thread may live long enough.
        self._at_end = True
        self._flush_at_last()

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
        self._flush_at_last()
        if callable(self._then):
            self._then(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _await_room(seconds: float) -> bool:
    """Whether something can be written; waits for it for so long at most. Where nobody reads any more, it can, and is lost."""
    looking = select.poll()
    looking.register(STANDARD_ERROR, select.POLLOUT)
    return bool(looking.poll(seconds * 1000))


def _room(*, patient: bool) -> int:
    """How many bytes can be written without waiting, if more than none: `PIPE_BUF` and more."""
    if not _await_room(0):
        return 0
    if patient:
        return _ANY
    with contextlib.suppress(OSError):
        if _LINUX and stat.S_ISFIFO(os.fstat(STANDARD_ERROR).st_mode):
            held = int.from_bytes(fcntl.ioctl(STANDARD_ERROR, termios.FIONREAD, bytes(4)), "little")
            # A pipe is made of pages, of which each may be half full.
            return (fcntl.fcntl(STANDARD_ERROR, fcntl.F_GETPIPE_SZ) - held) // 2
    return _ANY


def _write(data: bytes) -> None:
    # Whoever reads may be gone, or the disk full: no reason to fail what is logged about.
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(STANDARD_ERROR, data) :]
