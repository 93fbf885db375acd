"""The version that a node reports of itself."""

from __future__ import annotations

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("ollamamax")
    except metadata.PackageNotFoundError:
        return "0.2.0"


AGENT = _installed()
