"""Becomes one of the processes of `make up`: drops privileges, asks to die with its parent, and executes the program.

``python -I -S child.py PROCESSES NAME``, where PROCESSES is the JSON file that `ollamamax.embedded.processes` writes.
Standard library only and small, because every process starts through it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
OPEN_FILES = 65536
LEAST_ROOM = 32 << 20
"""Two segments of PostgreSQL's log: with less it would end again."""


def wait_for_room(folder: str, least: int = LEAST_ROOM) -> None:
    """Return when ``least`` bytes are free on the disk of ``folder``. The supervisor sees a process that runs, and does not back off."""
    while shutil.disk_usage(folder).free < least:
        time.sleep(0.5)


def main(file: str, name: str) -> None:
    process = json.loads(Path(file).read_text())[name]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    os.nice(process["nice"])
    user = process["user"]
    if user is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    for variable in process["without"]:
        os.environ.pop(variable, None)
    os.environ.update(process["environment"])
    if process["on_orphaned"] and sys.platform == "linux":
        # After the change of user, which clears it. Elsewhere the next start ends what was left.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, process["on_orphaned"], 0, 0, 0)
    if process["keeps"]:
        wait_for_room(process["keeps"])
    os.chdir(process["folder"])
    os.execv(process["command"][0], process["command"])  # noqa: S606 - our own arguments, no shell


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
