"""Runs a program whose clock is wrong: ``python -m benchmarks.shifted SECONDS MODULE ...``, as many seconds ahead."""

from __future__ import annotations

import runpy
import sys
import time


def main() -> None:
    ahead, module, *arguments = sys.argv[1:]
    right, seconds = time.time, float(ahead)
    time.time = lambda: right() + seconds
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
