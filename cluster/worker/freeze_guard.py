"""A process of its own that stops others and lets them go on: ``python freeze_guard.py [--alone] SECONDS PID...``.

Whatever becomes of who started it, nothing stays stopped: they go on after SECONDS, at a signal to this process, and, unless ``--alone`` is given, as
soon as its standard input ends. It imports nothing of OllamaMax.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from types import FrameType


def _tell(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def main() -> None:
    alone = sys.argv[1] == "--alone"
    seconds, *pids = sys.argv[2:] if alone else sys.argv[1:]
    stopped = [int(pid) for pid in pids]

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        _tell(stopped, signal.SIGSTOP)
        if alone:
            time.sleep(float(seconds))
        else:
            select.select([sys.stdin], [], [], float(seconds))
    finally:
        _tell(stopped, signal.SIGCONT)


if __name__ == "__main__":
    main()
