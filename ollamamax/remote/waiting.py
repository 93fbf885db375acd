"""Waiting for what the server does in its own time: jobs and evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ollamamax.remote import show
from ollamamax.remote.api import RemoteApi
from ollamamax.remote.exits import CommandFailed, ExitStatus

_POLL = 0.5
"""Seconds between two questions."""


_UNFINISHED = frozenset({"waiting", "running"})


def until_ended(
    api: RemoteApi,
    path: str,
    found: dict[str, Any],
    *,
    line: Callable[[dict[str, Any]], str],
    timeout: float,
    quiet: bool = False,
) -> dict[str, Any]:
    """``found`` as it is at ``path`` once it neither waits nor runs. Each new ``line`` of it is shown meanwhile, unless ``quiet``. Raises
    `CommandFailed` after ``timeout`` seconds."""
    end, told = time.monotonic() + timeout, ""
    while found["state"] in _UNFINISHED:
        if (now := line(found)) != told and not quiet:
            show.progress(now)
        told = now
        if time.monotonic() > end:
            raise CommandFailed(f"After {timeout:g} s it goes on still: {now} ({found['id']})", ExitStatus.NOT_IN_TIME)
        time.sleep(_POLL)
        found = api.get(path)
    return found
