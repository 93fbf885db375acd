"""JSON schemas brought into one form: references followed, ``allOf`` and siblings put together, alternatives told apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cluster.engines.pattern_grammar import NotEnforceable

Schema = dict[str, Any]
ANNOTATIONS = frozenset(
    [
        *(
            "title",
            "description",
            "default",
            "examples",
            "example",
            "deprecated",
            "readOnly",
            "writeOnly",
            "discriminator",
        ),
        *("$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor", "contentEncoding", "contentMediaType"),
        *("strict", "nullable", "markdownDescription", "enumDescriptions", "format"),
    ]
)
"""What says nothing of which values are right; formats, too, are notes unless a grammar has them."""
CONSTRAINTS = frozenset(
    [
        *("$ref", "allOf", "anyOf", "oneOf", "type", "enum", "const", "properties", "required", "additionalProperties"),
        *("items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minProperties", "maxProperties"),
        *("not", "if", "then", "else", "patternProperties", "propertyNames", "dependencies", "dependentRequired"),
        *("dependentSchemas", "contains", "minContains", "maxContains", "uniqueItems", "multipleOf"),
        *("unevaluatedProperties", "unevaluatedItems", "additionalItems", "$dynamicRef", "$recursiveRef"),
    ]
)
"""All keywords that do. Others are notes of somebody's own."""
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
    "number": (int, float),
    "integer": int,
}
_LARGER = frozenset({"minimum", "minLength", "minItems", "minProperties"})
_SMALLER = frozenset({"maximum", "maxLength", "maxItems", "maxProperties"})
_MOST_MERGES = 2000


class Merger:
    """``root`` is what references point into."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._merges = 0

    def find(self, reference: str) -> Schema:
        """What ``#/a/b`` points to. Raises `NotEnforceable`."""
        if reference != "#" and not reference.startswith("#/"):
            raise NotEnforceable(f"'$ref' to {reference[:80]}, which is elsewhere")
        found: Any = self._root
        for part in reference.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict) and part in found:
                found = found[part]
            else:
                raise NotEnforceable(f"'$ref' to {reference[:80]}, which is not there")
        return schema_of(found)

    def flat(self, schema: Schema) -> Schema:
        """Without ``allOf``, and without a ``$ref`` that has siblings."""
        seen: set[str] = set()
        while "allOf" in schema or ("$ref" in schema and len(constraints(schema)) > 1):
            rest = {name: value for name, value in schema.items() if name not in {"allOf", "$ref"}}
            if "$ref" in schema:
                if schema["$ref"] in seen:
                    raise NotEnforceable("'$ref' leads back to itself")
                seen.add(schema["$ref"])
                rest = self.merge(rest, self.find(schema["$ref"]))
            for each in schema.get("allOf", ()):
                each = schema_of(each)
                if "$ref" in each:
                    if each["$ref"] in seen:
                        continue  # what held it was put in already
                    seen.add(each["$ref"])
                    each = {**self.find(each["$ref"]), **{k: v for k, v in each.items() if k != "$ref"}}
                rest = self.merge(rest, each)
            schema = rest
        return schema

    def merge(self, one: Schema, other: Schema) -> Schema:
        """What both allow. Raises `NotEnforceable` for keywords that do not go together."""
        self._merges += 1
        if self._merges > _MOST_MERGES:
            raise NotEnforceable("'allOf' and 'anyOf' combine in too many ways")
        made = dict(one)
        for name, theirs in other.items():
            if name not in CONSTRAINTS or name not in made or made[name] == theirs:
                made.setdefault(name, theirs)
            elif name in {"properties", "required", "additionalProperties"}:
                continue
            elif name in _LARGER:
                made[name] = max(made[name], theirs)
            elif name in _SMALLER:
                made[name] = min(made[name], theirs)
            elif name == "type":
                made[name] = _both(_list(made[name]), _list(theirs))
            elif name == "enum":
                made[name] = [each for each in made[name] if each in theirs]
            elif name == "allOf":
                made[name] = [*made[name], *theirs]
            elif name in {"anyOf", "oneOf", "$ref"}:
                made["allOf"] = [*made.get("allOf", ()), {name: theirs}]
                if name != "$ref":
                    raise NotEnforceable(f"'{name}' twice, put together by 'allOf'")
            else:
                raise NotEnforceable(f"'{name}' twice, put together by 'allOf'")
        if _speaks_of_objects(one) and _speaks_of_objects(other):
            self._objects(made, one, other)
        return made

    def _objects(self, made: Schema, one: Schema, other: Schema) -> None:
        properties: Schema = {}
        for mine, theirs in ((one, other), (other, one)):
            for name, schema in mine.get("properties", {}).items():
                if name in properties:
                    continue
                there = theirs.get("properties", {}).get(name, theirs.get("additionalProperties", True))
                if there is False:
                    continue  # the other closes it out
                properties[name] = (
                    schema if there is True or there == {} else self.merge(schema_of(schema), schema_of(there))
                )
        required = list(dict.fromkeys([*one.get("required", ()), *other.get("required", ())]))
        closed = False in (one.get("additionalProperties"), other.get("additionalProperties"))
        if closed and not set(required) <= set(properties):
            raise NotEnforceable("'required' names a property that 'additionalProperties' closes out")
        made["properties"], made["required"] = properties, required
        if closed:
            made["additionalProperties"] = False
        elif "additionalProperties" in one and "additionalProperties" in other:
            raise NotEnforceable("'additionalProperties' twice, put together by 'allOf'")


def schema_of(given: Any) -> Schema:
    """A schema that is ``true`` allows everything. Raises `NotEnforceable` for ``false``, and for what is no schema."""
    if given is True:
        return {}
    if isinstance(given, dict):
        return given
    raise NotEnforceable("a schema that is false" if given is False else "what is no schema")


def subschemas(schema: Any) -> Iterator[Schema]:
    """A schema and all within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for name, value in schema.items():
        if name in {"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"}:
            inner = list(value.values()) if isinstance(value, dict) else []
        elif name in {"anyOf", "oneOf", "allOf", "prefixItems", "items"} and isinstance(value, list):
            inner = value
        elif name in {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"}:
            inner = [value]
        else:
            continue
        for each in inner:
            yield from subschemas(each)


def constraints(schema: Schema) -> set[str]:
    return {name for name in schema if name in CONSTRAINTS}


def overlap(one: Schema, other: Schema) -> bool:
    """Whether a value might keep both, as far as their types, constants and the constants of their properties tell."""
    mine, theirs = _kinds(one), _kinds(other)
    if mine and theirs and not (mine & theirs or ({"integer", "number"} <= mine | theirs)):
        return False
    if (a := _constants(one)) is not None and (b := _constants(other)) is not None:
        return any(each in b for each in a)
    if mine != {"object"} or theirs != {"object"}:
        return True
    for name, schema in one.get("properties", {}).items():
        twin = other.get("properties", {}).get(name)
        if twin is not None and name in one.get("required", ()) and name in other.get("required", ()):
            if isinstance(schema, dict) and isinstance(twin, dict) and not overlap(schema, twin):
                return False
        elif twin is None and name in one.get("required", ()) and other.get("additionalProperties") is False:
            return False
    return not any(
        name in other.get("required", ()) and name not in one.get("properties", {})
        for name in other.get("properties", {})
        if one.get("additionalProperties") is False
    )


def of_kind(value: Any, kind: str) -> bool:
    """Whether a value has a type by its JSON name."""
    if kind in {"integer", "number"} and isinstance(value, bool):
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS.get(kind, object))


def _constants(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _kinds(schema: Schema) -> set[str]:
    if "type" in schema:
        return set(_list(schema["type"]))
    values = _constants(schema)
    if values is not None:
        return {kind for kind in KINDS for value in values if of_kind(value, kind)}
    return {"object"} if "properties" in schema else set()


def _speaks_of_objects(schema: Schema) -> bool:
    return bool({"properties", "required", "additionalProperties"} & schema.keys())


def _both(one: list[str], other: list[str]) -> list[str]:
    found = [each for each in one if each in other]
    if "integer" in one + other and "number" in one + other and "integer" not in found:
        found.append("integer")
    if not found:
        raise NotEnforceable("'type' twice, with nothing in common")
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
