"""A full disk: the supervisor and what runs under it live on, and write on when there is room again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamamax.embedded import supervise
from ollamamax.embedded.down import down
from ollamamax.embedded.home import Home
from ollamamax.embedded.processes import Process
from tests.patience import wait_for
from tests.small_disk import fill, small_disk

SPEAKS = """
import sys, time
while True:
    print("x" * 10000, flush=True)
    time.sleep(0.002)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    with small_disk(tmp_path / "disk", 8) as folder:
        yield folder


def test_logs_that_cannot_be_written_end_nobody(disk: Path) -> None:
    home = Home(disk / "home")
    home.create()
    lock = home.lock()
    assert lock is not None
    speaks = Process("speaks", [sys.executable, "-c", SPEAKS], 10)
    child = supervise.Child.start(home, [speaks], os.environ, lock, orphan=True)
    os.write(lock, b'{"pid": %d}' % child.pid)
    os.close(lock)
    child.begin("speaks")
    log = home.logs / "speaks.log"
    wait_for(lambda: log.exists() and log.stat().st_size > 0)
    fill(disk / "fill")
    # A failure would show as soon as the next lines come; two states of the supervisor's own loop lie in between.
    read = pid_and_output(child)
    wait_for(lambda: pid_and_output(child)[1] > read[1] + 100)
    assert pid_and_output(child)[0] == read[0]
    stuck = log.stat().st_size
    (disk / "fill").unlink()
    wait_for(lambda: log.stat().st_size > stuck)
    assert child.process.poll() is None
    assert down(home) == 0
    child.process.wait(10)


def pid_and_output(child: supervise.Child) -> tuple[int, int]:
    """The speaker's process, and how much of what it says was read so far: its writes to the pipe."""
    (state,) = child.states()
    assert state["statename"] in {"STARTING", "RUNNING"}
    text = Path(f"/proc/{state['pid']}/io").read_text()
    return state["pid"], int(text.split("syscw: ")[1].split()[0])
