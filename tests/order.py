"""The order of test files where several processes share them: the longest first, so that none is left alone at the end.

And how many start the whole product at the same time: as many as there are cores, so that its starts take no longer than people's do.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

import pytest

LONGEST = (
    "benchmarks/test_parts.py",
    "browser/test_console.py",
    "batches/test_durability.py",
    "batches/test_batches.py",
    "embedded/test_up.py",
    "flow/test_make_up.py",
    "processes/test_live.py",
    "engines/test_llamacpp.py",
    "engines/test_contract.py",
    "management/test_real_model.py",
    "flow/test_survive.py",
    "engines/test_load_options.py",
    "gateway/test_queue.py",
    "management/test_create.py",
    "management/test_pull.py",
    "processes/test_departed.py",
    "worker/test_tickets.py",
    "dispatch/test_functions.py",
    "worker/test_faults.py",
    "management/test_engines.py",
    "gateway/test_recovery.py",
    "management/test_adapter.py",
    "worker/test_hosted_model.py",
    "management/test_killed.py",
    "gateway/test_presence.py",
    "embedded/test_supervise.py",
    "benchmarks/test_simulation.py",
    "processes/test_gateway.py",
    "gateway/test_failures.py",
    "scheduling/test_routing.py",
    "processes/test_logs.py",
    "worker/test_drain.py",
)
"""Below tests/, by the seconds they take; what is not named takes less, and follows as it was found."""

WHOLE = ("benchmarks/test_parts.py", "browser/", "embedded/test_up.py", "flow/", "processes/test_logs.py")
"""Below tests/: files that start the whole product, about ten processes each."""

_slot: TextIO | None = None

_rank = {f"tests/{file}": number for number, file in enumerate(LONGEST)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _rank.get(item.nodeid.partition("::")[0], len(LONGEST)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Outside the measurement of a test's time: whoever waits here has not begun."""
    global _slot
    if _slot is None and "PYTEST_XDIST_WORKER" in os.environ and _is_whole(item):
        _slot = _take(Path(os.environ["OMX_TEST_FOLDER"]), max(os.cpu_count() or 1, 1))
    done = yield
    if _slot is not None and (nextitem is None or not _is_whole(nextitem)):
        _slot.close()
        _slot = None
    return done


def _is_whole(item: pytest.Item) -> bool:
    return item.nodeid.removeprefix("tests/").startswith(WHOLE)


def _take(folder: Path, slots: int) -> TextIO:
    while True:
        for number in range(slots):
            file = (folder / f"whole-{number}").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
        time.sleep(0.2)
