"""A small disk of a test's own, which it can fill."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """``folder``, on a disk of so many MiB, which others may pass through. Skips the test where nobody may mount one.

    Where tests run by themselves (``CI``) root is asked for it, and it is a failure when that does not give one.
    """
    ci = bool(os.environ.get("CI"))
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not (ci and shutil.which("sudo")):
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    options = f"size={mebibytes}m,mode=0711,uid={os.geteuid()},gid={os.getegid()}"
    mount = subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if mount.returncode:
        assert not ci, f"no small disk: {mount.stderr.decode()}"
        pytest.skip("no small disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([*as_root, "umount", folder], check=True)


def fill(file: Path, *, leaving: int = 0) -> None:
    """Write ``file`` until no more than ``leaving`` bytes are free on its disk."""
    with file.open("ab", buffering=0) as out, contextlib.suppress(OSError):
        while (more := shutil.disk_usage(file.parent).free - leaving) > 0:
            out.write(bytes(min(more, 1 << 20)))
