"""Model names of a tenant and the versions they stand for, from the directory (table ``models``).

A tenant finds its own names first, then those that the operator shares with all.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cluster.scheduling.profile import Profile
from ollamamax.bus.directory import Directory
from ollamamax.kernel import errors


class Details(msgspec.Struct, omit_defaults=True):
    """What is known of a version's weights; what is not known is empty."""

    format: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int | None = None


class Listed(msgspec.Struct):
    """One name (``name:tag``) of a model."""

    version: str
    size: int
    modified_at: float
    details: Details = msgspec.field(default_factory=Details)
    profile: Profile = Profile()


SHARED = "*"
"""Stands for the tenant in the names of shared models."""


def full_name(name: str) -> str:
    """``name:tag``; the tag is ``latest`` when none is given, as in Ollama."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def resolve(directory: Directory, tenant: str, name: str) -> Listed:
    """Raises `ModelNotFound`, for a name of another tenant just the same."""
    full = full_name(name)
    listed: Listed | None = directory.get("models", f"{tenant}/{full}") or directory.get("models", f"{SHARED}/{full}")
    if listed is None:
        raise errors.ModelNotFound(f"model '{name}' not found", param="model", model=name)
    return listed


def names(directory: Directory, tenant: str) -> Iterator[tuple[str, Listed]]:
    """All names that a tenant can use, in order."""
    own: dict[str, Listed] = {}
    shared: dict[str, Listed] = {}
    for field, listed in directory.items("models"):
        owner, _, name = field.partition("/")
        if owner == tenant:
            own[name] = listed
        elif owner == SHARED:
            shared[name] = listed
    return iter(sorted((shared | own).items(), key=lambda each: each[0]))
