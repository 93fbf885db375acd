"""Begins what a process shows of itself, as its settings say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ollamamax import logs
from ollamamax.env import Environment
from ollamamax.observability import instruments, tracing
from ollamamax.observability.exposition import Page
from ollamamax.observability.listener import MetricsListener
from ollamamax.observability.table import ASKS, ProcessName

_log = logs.get(__name__)
current: Page | None = None
"""The page of this process, for who serves it on a port that is there anyway."""


@contextlib.contextmanager
def served(process: ProcessName, settings: Environment, home: Path) -> Iterator[None]:
    """Within, the metrics of this process are served, and its traces sent, where the settings say."""
    listener = start(process, settings, home)
    if process in ASKS:
        tracing.start(settings, release())
    try:
        yield
    finally:
        tracing.stop()
        if listener is not None:
            listener.stop()


def start(process: ProcessName, settings: Environment, home: Path) -> MetricsListener | None:
    """Serve the metrics of this process where OLLAMAMAX_METRICS_ADDRESS says; ``home``: OLLAMAMAX_HOME, where it is announced.

    A port that cannot be had is logged: no request is refused because nobody can look.
    """
    global current
    for few in (instruments.TENANTS, instruments.MODELS):
        few.most = settings["OLLAMAMAX_METRICS_VALUES"]
    current = Page(process, release(), settings["OLLAMAMAX_METRICS_TOKEN"], settings["OLLAMAMAX_METRICS_GENAI"])
    address = settings["OLLAMAMAX_METRICS_ADDRESS"]
    if not address:
        return None
    try:
        return MetricsListener(
            current, address[0], address[1], Path(settings["OLLAMAMAX_METRICS_FOLDER"] or home / "metrics")
        )
    except OSError as error:
        _log.error("metrics_not_served", host=address[0], port=address[1], error=str(error))
        return None


def release() -> str:
    try:
        return version("ollamamax")
    except PackageNotFoundError:
        return "unknown"
