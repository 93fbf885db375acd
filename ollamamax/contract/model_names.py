"""The full names of models, as the directory, usage records and prices have them."""

from __future__ import annotations

PINNED = "@sha256:"
"""Stands in names that mean one version of a model, whatever its channels point at."""

LATEST = ":latest"
"""What a name without a tag ends in."""


def with_tag(name: str) -> str:
    """``name:tag``; the tag is ``latest`` when none is given, as in Ollama."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}{LATEST}"
