"""Parameters of lists, out of the query string. All raise `InvalidRequest`, naming the parameter."""

from __future__ import annotations

import uuid
from urllib.parse import parse_qs

from ollamamax.batches.names import id_of
from ollamamax.gateway.http import Scope
from ollamamax.kernel.errors import InvalidRequest


def cursor(scope: Scope, prefix: str) -> uuid.UUID | None:
    """``after``: the last id of the page before."""
    given = _given(scope, "after")
    if given is None:
        return None
    found = id_of(given, prefix)
    if found is None:
        raise InvalidRequest(f"'after' must be an id that begins with '{prefix}'.", param="after")
    return found


def limit(scope: Scope, *, default: int, most: int) -> int:
    given = _given(scope, "limit")
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 9 or not 1 <= int(given) <= most:
        raise InvalidRequest(f"'limit' must be between 1 and {most}.", param="limit")
    return int(given)


def choice(scope: Scope, name: str, default: str | None, *allowed: str) -> str | None:
    given = _given(scope, name)
    if given is None:
        return default
    if given not in allowed:
        raise InvalidRequest(f"'{name}' must be one of {', '.join(allowed)}.", param=name)
    return given


def text(scope: Scope, name: str) -> str | None:
    return _given(scope, name)


def _given(scope: Scope, name: str) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1")).get(name)
    return values[-1] if values else None
