"""Under what conditions figures were taken."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("uvicorn", "uvloop", "httptools", "redis", "hiredis", "celery", "aiohttp", "msgspec", "django")


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        found = []
    return found[0].partition(":")[2].strip() if found else platform.machine()


def conditions() -> str:
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return (
        f"{processor()}, {len(os.sched_getaffinity(0))} cores; load average {load} before the run\n"
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}; {versions}"
    )
