"""Installs each peer from its own package into its own folder: nothing of it comes into the product or the system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LITELLM = "litellm[proxy]==1.106.2"
HERD = "ollama-herd==0.11.4"
SMG = "smg==1.13.0"
VLLM_ROUTER = "vllm-router==0.1.17"
PORTKEY = "@portkey-ai/gateway@1.15.2"


class NotInstalled(Exception):
    """Says what failed, in its own last line."""


def cache() -> Path:
    """Where the peers are kept from one run to the next."""
    named = os.environ.get("OLLAMAMAX_PEERS")
    base = (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ollamamax-peers"
    )
    base.mkdir(parents=True, exist_ok=True)
    return base


def python(name: str, package: str) -> Path:
    """The folder of programs of a Python peer."""
    folder = cache() / name
    if _is(folder, package):
        return folder / "bin"
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", package])
    _done(folder, package)
    return folder / "bin"


def node(name: str, package: str) -> Path:
    """The folder of the modules of a Node.js peer."""
    folder = cache() / name
    if not _is(folder, package):
        _run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", package])
        _done(folder, package)
    return folder / "node_modules"


def debian(name: str, *packages: str) -> Path:
    """The root folder of packages of Debian, unpacked and not installed."""
    folder, stamp = cache() / name, " ".join(packages)
    if not _is(folder, stamp):
        (folder / "root").mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "--quiet", *packages], folder)
        for package in sorted(folder.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(folder / "root")])
        _done(folder, stamp)
    return folder / "root"


def _is(folder: Path, wanted: str) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text() == wanted


def _done(folder: Path, wanted: str) -> None:
    (folder / "installed").write_text(wanted)


def _run(command: list[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"{Path(command[0]).name} failed: {said[-1] if said else done.returncode}")
