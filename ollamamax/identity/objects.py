"""The objects that rights can be granted on: the contexts that own them say here which the tenant in scope has, and what they hold."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet

from ollamamax.identity.roles import ON_OBJECTS
from ollamamax.kernel.errors import InvalidRequest, NotFound

Rows = Callable[[], QuerySet[Any]]
"""The objects of the tenant in scope, each with a ``name``."""
Contents = Callable[[Collection[uuid.UUID]], Mapping[uuid.UUID, Collection[str]]]
"""Of these objects of the tenants in scope: what is in each now, as `ollamamax.identity.roles.reference` names it."""


@dataclass(frozen=True)
class ObjectKind:
    rows: Rows
    contents: Contents | None = None


_known: dict[str, ObjectKind] = {}


def register(kind: str, rows: Rows, *, contents: Contents | None = None) -> None:
    """When the programs start. ``kind`` is one of `ollamamax.identity.roles.ON_OBJECTS`, and the name of the model in lower case.

    ``contents``: of objects that hold others, on each of which counts what was granted on them.
    """
    if kind not in ON_OBJECTS:
        raise ValueError(f"no permission can be granted on a {kind}")
    _known[kind] = ObjectKind(rows, contents)


def require_there(kind: str, id_: uuid.UUID) -> Model:
    """The object. Raises `InvalidRequest` for what is no kind, and `NotFound`, for an object of another tenant just the same."""
    found: Model | None = of_kind(kind).filter(pk=id_).first()
    if found is None:
        raise NotFound(f"There is no such {kind}.")
    return found


def of_kind(kind: str) -> QuerySet[Any]:
    """The objects of a kind that the tenant in scope has. Raises `InvalidRequest` for what is no kind."""
    if kind not in _known:
        raise InvalidRequest(f"There is no kind of object {kind!r} to grant rights on.", param="kind")
    return _known[kind].rows()


def names(references: Iterable[str]) -> dict[str, str]:
    """The names of those of the objects that the tenant in scope has. Queries: 1 for each kind that is named."""
    wanted: dict[str, set[uuid.UUID]] = {}
    for each in references:
        kind, _, id_ = each.partition(":")
        wanted.setdefault(kind, set()).add(uuid.UUID(id_))
    return {
        f"{kind}:{pk.hex}": str(name)
        for kind, ids in wanted.items()
        if kind in _known
        for pk, name in of_kind(kind).filter(pk__in=ids).values_list("pk", "name")
    }


def within(references: Iterable[str]) -> dict[str, frozenset[str]]:
    """What those of the objects hold that hold any, in the scope that there is. Queries: those of `Contents` for each kind that does."""
    wanted: dict[str, set[uuid.UUID]] = {}
    for each in references:
        kind, _, id_ = each.partition(":")
        if kind in _known and _known[kind].contents is not None:
            wanted.setdefault(kind, set()).add(uuid.UUID(id_))
    found: dict[str, frozenset[str]] = {}
    for kind, ids in wanted.items():
        contents = _known[kind].contents
        if contents is not None:
            found |= {f"{kind}:{id_.hex}": frozenset(held) for id_, held in contents(ids).items()}
    return found
