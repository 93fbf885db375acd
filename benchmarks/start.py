"""How long `make up` takes in a fresh copy of this tree, the first time and after `make down`, on warm package caches."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.product import NOT_OURS, ROOT, NotStarted, free_port

LEFT_OUT = (
    ".git",
    ".venv",
    ".ollamamax*",
    "node_modules",
    "dist",
    "staticfiles",
    "__pycache__",
    ".*_cache",
    ".coverage*",
)
"""What a fresh clone would not have."""


@dataclass(frozen=True)
class Starts:
    """Seconds, and what each start printed while it went on."""

    first: float
    second: float
    first_output: str
    second_output: str


def measure(source: Path = ROOT) -> Starts:
    """Copy ``source``, start, stop, start again, stop, delete. Raises `NotStarted`."""
    folder = Path(tempfile.mkdtemp(prefix="omx-start-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    tree = folder / "clone"
    shutil.copytree(source, tree, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    environ = {k: v for k, v in os.environ.items() if k not in {*NOT_OURS, "OLLAMAMAX_HOME", "OLLAMAMAX_VENV", "NODES"}}
    environ["PORT"] = str(free_port())
    try:
        first, first_output = _make(tree, environ, "up", "DETACH=1")
        _make(tree, environ, "down")
        second, second_output = _make(tree, environ, "up", "DETACH=1")
        return Starts(first, second, first_output, second_output)
    finally:
        subprocess.run(["make", "down"], cwd=tree, env=environ, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def report(starts: Starts) -> str:
    steps = [line for line in starts.first_output.splitlines() if " done in " in line or " ready (" in line]
    return "\n".join(
        [
            f"make up, first time  {starts.first:6.1f} s",
            *(f"  {step}" for step in steps),
            f"make up, again       {starts.second:6.1f} s",
        ]
    )


def _make(tree: Path, environ: dict[str, str], *arguments: str) -> tuple[float, str]:
    begun = time.monotonic()
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=tree, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    took = time.monotonic() - begun
    if done.returncode:
        raise NotStarted(f"make {' '.join(arguments)} failed:\n{done.stdout[-2000:]}")
    return took, done.stdout
