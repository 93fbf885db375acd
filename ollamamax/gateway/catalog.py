"""Model names of a tenant and the versions they stand for, from the directory (tables ``models``, ``aliases``)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cluster.scheduling.profile import Profile
from models_registry.fallback import Fallback
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
    fallbacks: tuple[Fallback, ...] = ()
    alias_of: str = ""
    """The full name of the model, when the name that was looked up is an alias."""


class Alias(msgspec.Struct):
    """A further name for a model (table ``aliases``)."""

    target: str
    modified_at: float
    fallbacks: tuple[Fallback, ...] = ()

    def listing(self, target: Listed) -> Listed:
        """What the name stands for; its own fallbacks go before those of the model."""
        fallbacks = self.fallbacks or target.fallbacks
        return msgspec.structs.replace(target, alias_of=self.target, fallbacks=fallbacks, modified_at=self.modified_at)


SHARED = "*"
"""Stands for the tenant in the names of shared models: a tenant finds its own names first, then these."""


def full_name(name: str) -> str:
    """``name:tag``; the tag is ``latest`` when none is given, as in Ollama."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def resolve(directory: Directory, tenant: str, name: str) -> Listed:
    """An alias is followed, once. Raises `ModelNotFound`, for a name of another tenant just the same."""
    full = full_name(name)
    alias: Alias | None = directory.get("aliases", f"{tenant}/{full}")
    listed = _model(directory, tenant, alias.target if alias else full)
    if listed is None:
        why = f": it is an alias of '{alias.target}', which is not there any more" if alias else ""
        raise errors.ModelNotFound(f"model '{name}' not found{why}", param="model", model=name)
    return alias.listing(listed) if alias else listed


def names(directory: Directory, tenant: str) -> Iterator[tuple[str, Listed]]:
    """All names of a tenant, aliases of models that are there too, in order."""
    own: dict[str, Listed] = {}
    shared: dict[str, Listed] = {}
    for field, listed in directory.items("models"):
        owner, _, name = field.partition("/")
        if owner == tenant:
            own[name] = listed
        elif owner == SHARED:
            shared[name] = listed
    found = shared | own
    prefix = f"{tenant}/"
    for field, alias in directory.items("aliases"):
        if field.startswith(prefix) and (target := _model(directory, tenant, alias.target)) is not None:
            found[field[len(prefix) :]] = alias.listing(target)
    return iter(sorted(found.items()))


def _model(directory: Directory, tenant: str, full: str) -> Listed | None:
    found: Listed | None = directory.get("models", f"{tenant}/{full}") or directory.get("models", f"{SHARED}/{full}")
    return found
