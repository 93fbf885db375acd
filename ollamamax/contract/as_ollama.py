"""Reads a request as Ollama's server reads it, which is Go's way with JSON (https://pkg.go.dev/encoding/json#Unmarshal).

A null is as if it were not there, names of fields may be written in any case, what nobody knows is read over (and told), text that
is no UTF-8 has its broken parts replaced, and 40.0 is a whole number. ``options`` follow Ollama's ``Options.FromMap`` in
``api/types.go``: their names are exact, a number for a whole one is cut, and nothing else is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ollamamax.contract import from_client
from ollamamax.contract.fields import Fields
from ollamamax.contract.ignored import Ignored
from ollamamax.kernel.errors import InvalidRequest

T = TypeVar("T", bound=msgspec.Struct)
Ignore = Callable[[Iterable[str]], None]
"""Told the names of what is read over, by their paths from the top."""
_any = msgspec.json.Decoder()
_MOST_INT = 1 << 63
_INT, _FLOAT, _BOOL = (
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.BoolType,
)


class Exact:
    """A struct whose fields are named exactly, and whose whole numbers may be any number: ``options``."""


@dataclass(frozen=True)
class OllamaFields(Fields[T]):
    """Of a route of Ollama's: what nobody knows is read over, whatever ``strict`` says. All that is refused is in the struct."""

    def _read(self, body: bytes, ignored: Ignored, strict: bool) -> T:
        return read(self._decoder, body, ignored.add)


def read(decoder: msgspec.json.Decoder[T], body: bytes, ignore: Ignore) -> T:
    """``decoder`` is of a struct that forbids what it does not know. Raises `InvalidRequest` with ``param``."""
    if not body.strip():
        raise InvalidRequest("missing request body", param=None)
    try:
        return from_client.decode(decoder, body)
    except InvalidRequest:
        pass  # what most clients send is understood above in one go
    try:
        given = from_client.decode(_any, body)
    except InvalidRequest:
        given = from_client.decode(_any, body.decode(errors="replace").encode())
    kind: type[T] = decoder.type
    if not isinstance(given, dict):
        raise InvalidRequest("The body must be a JSON object.", param=None)
    return from_client.decode(decoder, msgspec.json.encode(_fields(kind, given, "", ignore)))


def named(model: str) -> str:
    """Raises `InvalidRequest` where no model is named."""
    if not model.strip():
        raise InvalidRequest("model is required", param="model")
    return model


def _fields(kind: type[msgspec.Struct], given: dict[str, Any], place: str, ignore: Ignore) -> dict[str, Any]:
    exact, folded = _named(kind)
    is_exact = issubclass(kind, Exact)
    found: dict[str, Any] = {}
    for name, value in given.items():
        field = exact.get(name) or (None if is_exact else folded.get(name.lower()))
        if field is None:
            ignore([place + name])
        elif value is not None:
            found[field.encode_name] = _value(field.type, value, place + field.encode_name, ignore, is_exact)
    return found


def _value(kind: msgspec.inspect.Type, value: Any, place: str, ignore: Ignore, is_exact: bool) -> Any:
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    if is_exact:
        _check_option(kinds, value, place)
    for each in kinds:
        if isinstance(each, _INT) and isinstance(value, float) and (is_exact or value.is_integer()):
            return int(value) if abs(value) < _MOST_INT else value
        if isinstance(each, msgspec.inspect.StructType) and isinstance(value, dict):
            return _fields(each.cls, value, f"{place}.", ignore)
        if isinstance(each, msgspec.inspect.ListType) and isinstance(value, list):
            return [
                _value(each.item_type, item, f"{place}[{index}]", ignore, is_exact=False)
                for index, item in enumerate(value)
            ]
    return value


def _check_option(kinds: tuple[msgspec.inspect.Type, ...], value: Any, place: str) -> None:
    """Raises `InvalidRequest` in Ollama's words."""
    name = place.rpartition(".")[2]
    wanted = next(each for each in kinds if not isinstance(each, msgspec.inspect.NoneType))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    problem = ""
    if isinstance(wanted, _INT) and (not is_number or abs(value) >= _MOST_INT):
        problem = "of type integer"
    elif isinstance(wanted, _FLOAT) and not is_number:
        problem = "of type float32"
    elif isinstance(wanted, _BOOL) and not isinstance(value, bool):
        problem = "of type boolean"
    elif isinstance(wanted, msgspec.inspect.ListType) and not isinstance(value, list | str):
        problem = "of type array"
    elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
        problem = "of an array of strings"
    if problem:
        raise InvalidRequest(f'option "{name}" must be {problem}', param=place)


@lru_cache(64)
def _named(kind: type[msgspec.Struct]) -> tuple[dict[str, msgspec.inspect.Field], dict[str, msgspec.inspect.Field]]:
    """A struct's fields by their names on the wire, and by those in small letters."""
    info = msgspec.inspect.type_info(kind)
    fields = {field.encode_name: field for field in info.fields}  # type: ignore[attr-defined] # it is a StructType
    return fields, {name.lower(): field for name, field in fields.items()}
