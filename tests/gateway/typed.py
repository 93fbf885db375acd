"""Values of the types in which a client's own library says what it sends: the least one, and one for each thing that may be said besides."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

_SIMPLE: dict[Any, Any] = {str: "x", int: 1, float: 0.5, bool: True, object: {}, Any: {}, dict: {}}


def values(hint: Any, above: tuple[Any, ...] = ()) -> Iterator[Any]:
    """``above`` are the types that this one is in: none of them again, and none of a library's answers, which are no types of requests."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        yield _SIMPLE[hint]
    elif origin is Literal:
        yield from inner
    elif origin in {Required, NotRequired, Annotated}:
        yield from values(inner[0], above)
    elif origin in {Union, types.UnionType}:
        for each in inner:
            yield from values(each, above)
    elif origin is dict:
        yield {}
    elif origin is not None:
        for value in values(inner[0], above):
            yield [value]
    elif is_typeddict(hint) and hint not in above:
        yield from _objects(hint, (*above, hint))


def _objects(hint: Any, above: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    hints = fields(hint)
    least = {name: next(values(hints[name], above)) for name in sorted(required(hint))}
    yield least
    for name, each in hints.items():
        for value in values(each, above):
            if least.get(name) != value:
                yield least | {name: value}


def fields(hint: Any) -> dict[str, Any]:
    """Of a ``TypedDict``, with their types."""
    return get_type_hints(hint, include_extras=True)


def required(hint: Any) -> set[str]:
    return {name for name, each in fields(hint).items() if get_origin(each) is Required}
