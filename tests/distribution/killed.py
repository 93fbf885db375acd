"""Runs an action in a process that is killed at one of its steps: before or after each statement, commit, and change of a file."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection, connections

_FILES = ("replace", "unlink", "write_text", "mkdir")


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Whether the process got as far as ``step``, and died there; else it did all of it."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            _run(step, action)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child of a test never goes on as the test
            traceback.print_exc()
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the action failed by itself"
    return os.WIFSIGNALED(status)


def _run(last: int, action: Callable[[], object]) -> None:
    done = 0

    def step() -> None:
        nonlocal done
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1

    def stepping(call: Callable[..., Any]) -> Callable[..., Any]:
        def both(*args: Any, **named: Any) -> Any:
            step()
            found = call(*args, **named)
            step()
            return found

        return both

    for name in _FILES:
        setattr(Path, name, stepping(getattr(Path, name)))
    connection._commit = stepping(connection._commit)  # type: ignore[attr-defined]
    with connection.execute_wrapper(stepping(lambda execute, *args: execute(*args))):
        action()
