"""The objects that rights can be granted on: the contexts that own them say here how one of the tenant in scope is found."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from ollamamax.identity.roles import ON_OBJECTS
from ollamamax.kernel.errors import InvalidRequest, NotFound

IsThere = Callable[[uuid.UUID], bool]
_known: dict[str, IsThere] = {}


def register(kind: str, is_there: IsThere) -> None:
    """When the programs start. ``kind`` is one of `ollamamax.identity.roles.ON_OBJECTS`."""
    if kind not in ON_OBJECTS:
        raise ValueError(f"no permission can be granted on a {kind}")
    _known[kind] = is_there


def require_there(kind: str, id_: uuid.UUID) -> None:
    """Raises `InvalidRequest` for what is no kind, and `NotFound`, for an object of another tenant just the same."""
    if kind not in _known:
        raise InvalidRequest(f"There is no kind of object {kind!r} to grant rights on.", param="kind")
    if not _known[kind](id_):
        raise NotFound(f"There is no such {kind}.")
