"""JSON that a client sent: decoded and bounded here, whatever it holds, so that nothing in it can break what comes after.

One decoder for every door: the inference APIs, management, batches and live events. It raises `InvalidRequest` and nothing else.
"""

from __future__ import annotations

import re
import types
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ollamamax.kernel.errors import InvalidRequest

T = TypeVar("T")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some clients put before UTF-8."""
MOST_DEPTH = 64
"""How deep objects and lists may lie in each other. JSON schemas of real tools are 10 to 20 deep; programs fail at some hundred."""
MOST_ITEMS = 1 << 20
"""Of one list: the tokens of a very long prompt."""
LEAST, MOST = -(1 << 63), (1 << 64) - 1
"""Whole numbers that every program on the way can hold."""


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises `InvalidRequest`, with the ``param`` where one is known.

    In what is passed on as it is, such as a tool's schema, whole numbers beyond 64 bits become floating-point ones, as in
    JavaScript, which writes them (2^64 - 1 is there 18446744073709552000). In a field of our own they are refused.
    """
    try:
        found = decoder.decode(body.removeprefix(BYTE_ORDER_MARK))
        if len(body) > _SHORT or _may_exceed(body):
            _bound(found, "", 0)
    except msgspec.ValidationError as error:
        raise validation_problem(error) from None
    except RecursionError:
        raise too_deep(None) from None
    except (ValueError, OverflowError) as error:
        # DecodeError and UnicodeDecodeError are ValueErrors.
        raise InvalidRequest(f"The body is not valid JSON: {error}.", param=None) from None
    return found


def convert(value: Any, kind: type[T]) -> T:
    """A value that `decode` made without a type. Raises `InvalidRequest`."""
    try:
        found = msgspec.convert(value, kind)
        _bound(found, "", 0)
    except msgspec.ValidationError as error:
        raise validation_problem(error) from None
    return found


def validation_problem(error: msgspec.ValidationError) -> InvalidRequest:
    """msgspec's text ends in `` - at `$.path` ``; the path becomes ``param``."""
    message, _, path = str(error).partition(" - at `")
    param = path.rstrip("`").removeprefix("$").lstrip(".") or None
    if param is None and ("missing required field" in message or "unknown field" in message):
        param = message.split("`")[1]
    where = f" (at '{param}')" if param and path else ""
    return InvalidRequest(f"{message}{where}.", param=param)


def too_deep(param: str | None) -> InvalidRequest:
    return InvalidRequest(f"The body is nested more than {MOST_DEPTH} deep.", param=param)


_SHORT = 4096
"""Bytes of a body that are looked through more quickly than what they were decoded to."""
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def _may_exceed(body: bytes) -> bool:
    """Whether a body has what a number beyond 64 bits, or what nests too deeply, cannot do without."""
    return body.count(b"[") + body.count(b"{") > MOST_DEPTH or _LONG_NUMBER.search(body) is not None


def _bound(value: Any, param: str, depth: int) -> None:
    """Look at all that is not of a simple type; typed texts and truths cannot be wrong any more."""
    if isinstance(value, msgspec.Struct):
        for name in _fields(type(value)):
            inner = getattr(value, name)
            kind = type(inner)
            if kind is int:
                if not LEAST <= inner <= MOST:
                    raise InvalidRequest(f"'{param or name}' is beyond 64 bits.", param=param or name)
            elif kind is list or kind is dict or isinstance(inner, msgspec.Struct):
                _bound(inner, param or name, depth + 1)
    elif isinstance(value, list):
        if depth > MOST_DEPTH:
            raise too_deep(param or None)
        if len(value) > MOST_ITEMS:
            raise InvalidRequest(
                f"A list has {len(value)} items, and may have {MOST_ITEMS}{f' (in {param!r})' if param else ''}.",
                param=param or None,
            )
        for index, inner in enumerate(value):
            kind = type(inner)
            if kind is int:
                if not LEAST <= inner <= MOST:
                    value[index] = float(inner)
            elif kind is not str:
                _bound(inner, param, depth + 1)
    elif isinstance(value, dict):
        if depth > MOST_DEPTH:
            raise too_deep(param or None)
        for name, inner in value.items():
            kind = type(inner)
            if kind is int:
                if not LEAST <= inner <= MOST:
                    value[name] = float(inner)
            elif kind is dict or kind is list or kind not in _SIMPLE:
                _bound(inner, param, depth + 1)
    elif type(value) is int and not LEAST <= value <= MOST:
        raise InvalidRequest("The body is a number beyond 64 bits.", param=param or None)


_SIMPLE = frozenset({str, bool, float, type(None)})


@lru_cache(256)
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Those that can hold more than a text, a truth or a floating-point number."""
    hints = get_type_hints(kind)
    return tuple(name for name in kind.__struct_fields__ if not _is_simple(hints[name]))


def _is_simple(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Annotated:
        return _is_simple(get_args(hint)[0])
    if origin is Union or origin is types.UnionType:
        return all(_is_simple(each) for each in get_args(hint))
    if origin is not None:
        return str(origin) == "typing.Literal"
    return hint in _SIMPLE
