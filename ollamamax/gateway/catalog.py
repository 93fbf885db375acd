"""Model names of a tenant and the versions they stand for, from the directory (table ``models``)."""

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


def full_name(name: str) -> str:
    """``name:tag``; the tag is ``latest`` when none is given, as in Ollama."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def resolve(directory: Directory, tenant: str, name: str) -> Listed:
    """Raises `ModelNotFound`, for a name of another tenant just the same."""
    listed: Listed | None = directory.get("models", f"{tenant}/{full_name(name)}")
    if listed is None:
        raise errors.ModelNotFound(f"model '{name}' not found", param="model", model=name)
    return listed


def names(directory: Directory, tenant: str) -> Iterator[tuple[str, Listed]]:
    """All names of a tenant, in order."""
    prefix = f"{tenant}/"
    found = [(field[len(prefix) :], listed) for field, listed in directory.items("models") if field.startswith(prefix)]
    return iter(sorted(found, key=lambda each: each[0]))
