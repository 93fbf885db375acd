"""What becomes of each field of a request's body: one table for each route, which the code obeys and `docs/api.md` prints.

A field is supported (it is in the route's struct), translated (another server's word for something supported), ignored (the
answer is the same without it, and why), or refused by name (it would change the answer, and no engine of ours can do it). What is
ignored or refused may be in the struct, too: its type is checked then.
Whatever nobody knows is ignored, too, unless the tenant or the key asks for strictness.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ollamamax.contract import from_client
from ollamamax.contract.ignored import Ignored
from ollamamax.kernel import errors

T = TypeVar("T", bound=msgspec.Struct)
Loose = dict[str, Any]
_UNKNOWN = "Object contains unknown field"


@dataclass(frozen=True)
class Translated:
    """``apply`` puts what ``value`` asks for into the body's supported fields; ``into`` names those in the document."""

    into: str
    apply: Callable[[Loose, Any], Iterable[str] | None]
    """Returns the names below its own that it had to leave out. Raises `InvalidRequest` or `Unsupported`."""


@dataclass(frozen=True)
class RefusedField:
    """Why it cannot be done here; the ``harmless`` values ask for nothing, as does null."""

    why: str
    harmless: tuple[Any, ...] = ()


def renamed(name: str) -> Translated:
    """Another word for the field ``name``, which goes before it where both are given."""

    def apply(body: Loose, value: Any) -> None:
        if body.get(name) is None:
            body[name] = value

    return Translated(f"`{name}`", apply)


@dataclass(frozen=True)
class Fields(Generic[T]):
    """The fields of one route by their paths from the top (``thinking.budget_tokens``). ``struct`` has those that are supported."""

    struct: type[T]
    ignored: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, RefusedField] = field(default_factory=dict)
    translated: Mapping[str, Translated] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What some of those that are ignored are where nobody gave them: that asks for nothing, and is not told."""
    _decoder: msgspec.json.Decoder[T] = field(init=False, repr=False)
    _typed: tuple[tuple[str, tuple[str, ...]], ...] = field(init=False, repr=False)
    """Those in the struct that are ignored or refused, each with the attributes that lead to it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", msgspec.json.Decoder(self.struct))
        places = dict(_attributes(self.struct))
        without_effect = [path for path in (*self.ignored, *self.refused) if path in places]
        object.__setattr__(self, "_typed", tuple((path, places[path]) for path in without_effect))

    def parse(self, body: bytes, ignored: Ignored, *, strict: bool = False) -> T:
        """The request; ``ignored`` is told what it has in vain. Raises `InvalidRequest`, and `Unsupported` for what is refused."""
        request = self._read(body, ignored, strict)
        self.obey(request, ignored)
        return request

    def obey(self, request: T, ignored: Ignored) -> None:
        """Tell which of its fields have no effect. Raises `Unsupported` for what is refused."""
        for path, attributes in self._typed:
            value: Any = request
            for name in attributes:
                value = getattr(value, name, None)
            if value is None:
                continue
            if (refused := self.refused.get(path)) is not None:
                if value not in refused.harmless:
                    raise unsupported(path, refused.why)
            elif path not in self.defaults or value != self.defaults[path]:
                ignored.add([path])

    def _read(self, body: bytes, ignored: Ignored, strict: bool) -> T:
        try:
            # Bodies without a word of others are understood in one go; the structs forbid what they do not know.
            return from_client.decode(self._decoder, body)
        except errors.InvalidRequest as error:
            if _UNKNOWN not in error.message:
                raise
        loose = from_client.decode(_any, body)
        self._sift(loose, self.struct, "", ignored, strict)
        return from_client.convert(loose, self.struct)

    def _sift(self, given: Any, struct: type[msgspec.Struct], place: str, ignored: Ignored, strict: bool) -> None:
        """Leave in ``given``, an object or a list of objects, what ``struct`` has."""
        if isinstance(given, list):
            for each in given:
                self._sift(each, struct, place, ignored, strict)
        if not isinstance(given, dict):
            return
        known = inner_structs(struct)
        for name in list(given):
            if name not in known and (value := given.pop(name)) is not None:
                self._place(given, place, name, value, ignored, strict)
        for name, inner in known.items():
            if inner is not None and name in given:
                self._sift(given[name], inner, f"{place}{name}.", ignored, strict)

    def _place(self, body: Loose, place: str, name: str, value: Any, ignored: Ignored, strict: bool) -> None:
        """What to do with one that the struct does not have."""
        path = place + name
        if (translated := self.translated.get(path)) is not None:
            ignored.add(f"{path}.{each}" for each in translated.apply(body, value) or ())
        elif (refused := self.refused.get(path)) is not None:
            if value not in refused.harmless:
                raise unsupported(path, refused.why)
        elif strict and path not in self.ignored:
            raise errors.InvalidRequest(
                f"'{path}' is not known here, and unknown fields are to be refused.", param=path
            )
        else:
            ignored.add([path])

    def rows(self) -> Iterator[tuple[str, str]]:
        """Each field with what becomes of it, for people."""
        without_effect = {path for path, _ in self._typed}
        yield from ((path, "supported") for path in supported(self.struct) if path not in without_effect)
        yield from ((path, f"translated into {each.into}") for path, each in self.translated.items())
        yield from ((path, f"ignored: {why}") for path, why in self.ignored.items())
        for path, each in self.refused.items():
            kept = " and ".join(f"`{msgspec.json.encode(value).decode()}`" for value in each.harmless)
            yield path, f"refused{f', but for {kept}' if kept else ''}: {each.why}"


_any = msgspec.json.Decoder()


def unsupported(path: str, why: str = "") -> errors.Unsupported:
    return errors.Unsupported(f"'{path}' is not supported by this server{why and f': {why}'}.", param=path)


def supported(struct: type[msgspec.Struct], place: str = "") -> Iterator[str]:
    """The paths of a struct's fields, and of the fields of structs in them."""
    for name, inner in inner_structs(struct).items():
        yield place + name
        if inner is not None:
            yield from supported(inner, f"{place}{name}.")


def _attributes(
    struct: type[msgspec.Struct], place: str = "", before: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The paths of its fields with the names of the attributes that lead there; those of structs in lists lead nowhere."""
    inner = inner_structs(struct)
    for each in msgspec.structs.fields(struct):
        name, found = each.encode_name, inner[each.encode_name]
        yield place + name, (*before, each.name)
        if found is not None:
            yield from _attributes(found, f"{place}{name}.", (*before, each.name))


@lru_cache(256)
def inner_structs(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """A struct's fields by their names on the wire, and the struct that each holds, alone or in a list, if any."""
    hints = get_type_hints(struct)
    return {each.encode_name: _struct_in(hints[each.name]) for each in msgspec.structs.fields(struct)}


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    if get_origin(hint) in {Union, types.UnionType, list}:
        return next((found for each in get_args(hint) if (found := _struct_in(each)) is not None), None)
    return None
