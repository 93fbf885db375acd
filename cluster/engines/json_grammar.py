"""JSON schemas as grammars of llama.cpp (GBNF): whatever such a grammar lets through keeps the schema. Pure.

llama.cpp makes grammars of schemas by itself, and leaves out what it does not know: patterns with ``\\d``, bounds of numbers
that are no integers, and more. Here all of a schema is kept, or the schema is refused by the name of what cannot be.
An object has no properties beyond those that its schema names, and those in the schema's order, which no schema forbids.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from cluster.engines import number_grammar
from cluster.engines.pattern_grammar import ANY, MOST_REPEATS, NotEnforceable, literal, matched, repeated
from cluster.engines.schema_merge import Merger, Schema, constraints, of_kind, overlap, schema_of
from ollamamax.kernel.errors import Unsupported

MOST_RULES = 8000
_DEEPEST = 48
_MOST_COMPARED = 64
"""Parts of a ``oneOf``, each of which is compared with each."""
_SPACE = '( | " " | "\\n" [ \\t]{0,20})'
_FORMATS = {
    "date": '[1-9] [0-9]{3} "-" (_ "-" ("0" [1-9] | [1-2] [0-9] | "30") | _31 "-31" | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
    "uuid": "[0-9a-f]{8} " + " ".join('"-" [0-9a-f]{4}' for _ in range(3)) + ' "-" [0-9a-f]{12}',
}
_LONG_MONTHS = '("0" [13578] | "1" [02])'
_FORMATS["date"] = _FORMATS["date"].replace("_31", _LONG_MONTHS).replace("_", '("0" [13-9] | "1" [0-2])')
_FORMATS["date-time"] = f'{_FORMATS["date"]} "T" {_FORMATS["time"]}'
_CANNOT: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("not", "if", "contains", "unevaluatedItems", "additionalItems", "$dynamicRef", "$recursiveRef"), ()
    ),
    **dict.fromkeys(("patternProperties", "dependencies", "dependentRequired", "dependentSchemas"), ({},)),
    "propertyNames": ({}, True, {"type": "string"}),
    "unevaluatedProperties": (True, False, {}),
}
"""Keywords that are refused, but for values that change nothing: an object has no further properties here anyway."""
_KEYWORDS = {
    "string": ("minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
}
_TYPES = ("object", "array", "string", "number", "boolean", "null")
OBJECT: Schema = {"type": "object"}


def grammar_of(schema: str | Schema, *, lenient: bool = False, before: str = "") -> str:
    """The grammar of a schema, or of any object for ``"json"``. ``before``: a rule for what comes ahead of the value.

    ``lenient`` leaves out what cannot be kept, instead of raising `Unsupported`.
    """
    encoded = msgspec.json.encode(schema if isinstance(schema, dict) else OBJECT)
    rules = _rules(encoded, lenient)
    return f"root ::= {before} {rules}" if before else f"root ::= {rules}"


@lru_cache(64)
def _rules(encoded: bytes, lenient: bool) -> str:
    """Of the same schema again and again, as agents send it, the rules are made once."""
    schema = msgspec.json.decode(encoded)
    return _Grammar(schema, lenient=lenient).text()


class _Grammar:
    def __init__(self, root: Schema, *, lenient: bool) -> None:
        self._root = root
        self._lenient = lenient
        self._merger = Merger(root)
        self._rules: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._of_reference: dict[str, str] = {}
        self._depth = 0
        self._open: list[str] = []
        """References that are being followed, with nothing written since: to come to one again would never end."""

    def text(self) -> str:
        root = self._value(self._root, "the schema")
        return "\n".join([root, *(f"{name} ::= {rule}" for name, rule in self._rules.items())]) + "\n"

    def _rule(self, body: str) -> str:
        """The name of a rule; the same for the same body."""
        if (name := self._names.get(body)) is None:
            name = self._names[body] = f"r{len(self._rules)}"
            self._set(name, body)
        return name

    def _set(self, name: str, body: str) -> None:
        self._rules[name] = body
        if len(self._rules) > MOST_RULES:
            raise Unsupported("The JSON schema is too large to be enforced.", param="response_format")

    def _cannot(self, keyword: str, where: str, why: str = "") -> None:
        """Refuse the schema by name, or leave the keyword out."""
        if not self._lenient:
            what = f"'{keyword}' of a JSON schema" if keyword else "this JSON schema"
            text = f"This model's engine cannot enforce {what} (in {where[:200]})"
            raise Unsupported(text + (f": {why}." if why else "."), param="response_format")

    def _value(self, given: Any, where: str) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unsupported("The JSON schema is nested too deeply to be enforced.", param="response_format")
        try:
            return self._flat(self._merger.flat(schema_of(given)), where)
        except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError) as error:
            self._cannot("", where, str(error).strip("."))
            return self._any()
        finally:
            self._depth -= 1

    def _flat(self, schema: Schema, where: str) -> str:
        for keyword, harmless in _CANNOT.items():
            if keyword in schema and schema[keyword] not in harmless:
                self._cannot(keyword, where)
        if "$ref" in schema:
            return self._reference(schema["$ref"], where)
        for keyword in ("oneOf", "anyOf"):
            if keyword in schema:
                return self._alternatives(schema, keyword, where)
        if "const" in schema or "enum" in schema:
            return self._constants(schema, where)
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not kinds:
            kinds = [kind for kind in _TYPES if constraints(schema) & set(_KEYWORDS.get(kind, ()))]
            if not kinds:
                return self._any()
            if len(kinds) > 1:
                # A value of any other type keeps it too; but nobody means that.
                raise NotEnforceable("keywords of several types, and no 'type'")
        ways = dict.fromkeys(self._of_type(kind, schema, where) for kind in kinds)
        return self._rule(" | ".join(ways)) if len(ways) > 1 else next(iter(ways))

    def _reference(self, reference: str, where: str) -> str:
        if reference in self._open:
            raise NotEnforceable("'$ref' leads back to itself")
        if (name := self._of_reference.get(reference)) is None:
            name = self._of_reference[reference] = f"d{len(self._of_reference)}"
            self._open.append(reference)
            try:
                self._set(name, self._value(self._merger.find(reference), reference))
            finally:
                self._open.pop()
        return name

    def _alternatives(self, schema: Schema, keyword: str, where: str) -> str:
        rest = {name: value for name, value in schema.items() if name != keyword}
        given = [schema_of(each) for each in schema[keyword]]
        if constraints(rest):
            given = [self._merger.merge(rest, self._merger.flat(self._seen_through(each))) for each in given]
        if keyword == "oneOf":
            seen = [self._merger.flat(self._seen_through(each)) for each in given]
            if len(seen) > _MOST_COMPARED or any(
                overlap(one, other) for index, one in enumerate(seen) for other in seen[:index]
            ):
                self._cannot("oneOf", where, "its parts may hold at once; 'anyOf' would do")
        ways = dict.fromkeys(self._value(each, f"{where}/{keyword}") for each in given)
        if not ways:
            raise NotEnforceable(f"'{keyword}' without a part")
        return self._rule(" | ".join(ways)) if len(ways) > 1 else next(iter(ways))

    def _seen_through(self, schema: Schema) -> Schema:
        for _ in range(_DEEPEST):
            if "$ref" not in schema:
                return schema
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            target = self._merger.find(schema["$ref"])
            schema = self._merger.merge(rest, target) if constraints(rest) else target
        raise NotEnforceable("'$ref' leads back to itself")

    def _constants(self, schema: Schema, where: str) -> str:
        values = [schema["const"]] if "const" in schema else list(schema["enum"])
        if "const" in schema and "enum" in schema and schema["const"] not in schema["enum"]:
            values = []
        kinds = schema.get("type")
        if kinds is not None:
            kinds = kinds if isinstance(kinds, list) else [kinds]
            values = [value for value in values if any(of_kind(value, kind) for kind in kinds)]
        if not values:
            raise NotEnforceable("'enum' or 'const' without a value that is allowed")
        texts = dict.fromkeys(json.dumps(value, ensure_ascii=False) for value in values)
        return self._rule(" | ".join(literal(text) for text in texts))

    def _of_type(self, kind: str, schema: Schema, where: str) -> str:
        match kind:
            case "null":
                return self._rule('"null"')
            case "boolean":
                return self._rule('"true" | "false"')
            case "integer" | "number":
                return self._rule(self._number(kind, schema, where))
            case "string":
                return self._rule(f'"\\"" {self._string(schema, where)} "\\""')
        if kind not in {"array", "object"}:
            raise NotEnforceable(f"the type {kind!r}")
        # Something is written before what is inside, so that a reference may come again.
        held, self._open = self._open, []
        try:
            return self._array(schema, where) if kind == "array" else self._object(schema, where)
        finally:
            self._open = held

    def _number(self, kind: str, schema: Schema, where: str) -> str:
        if schema.get("multipleOf") not in (None, 1 if kind == "integer" else None):
            self._cannot("multipleOf", where)
        low, above = _end(schema, "minimum", "exclusiveMinimum", max)
        high, below = _end(schema, "maximum", "exclusiveMaximum", min)
        if low is None and high is None:
            return number_grammar.INTEGER if kind == "integer" else number_grammar.NUMBER
        if kind == "number":
            return number_grammar.numbers(low, high, above=above, below=below)
        least = None if low is None else _up(low, exclusive=above)
        most = None if high is None else -_up(-high, exclusive=below)
        return number_grammar.integers(least, most)

    def _string(self, schema: Schema, where: str) -> str:
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        if (pattern := schema.get("pattern")) is not None:
            try:
                found = matched(pattern)
            except NotEnforceable as error:
                self._cannot("pattern", where, f"in {pattern[:100]!r}, {error}")
            else:
                if found.least < least or (most is not None and (found.most is None or found.most > most)):
                    self._cannot(
                        "pattern", where, "together with 'minLength' or 'maxLength'; say it in the pattern alone"
                    )
                return found.rule
        if (form := _FORMATS.get(str(schema.get("format")))) is not None:
            return form
        if not least and most is None:
            return f"{self._rule(ANY)}*"
        return repeated(self._rule(ANY), least, None if most is None else int(most))

    def _array(self, schema: Schema, where: str) -> str:
        if schema.get("uniqueItems"):
            self._cannot("uniqueItems", where)
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        for keyword, count in (("minItems", least), ("maxItems", most)):
            if count is not None and int(count) > MOST_REPEATS:
                self._cannot(keyword, where, f"more than {MOST_REPEATS}")
                least, most = min(least, MOST_REPEATS), None
        items = schema.get("items", True)
        heads = schema.get("prefixItems", [])
        if isinstance(items, list):
            heads, items = items, True
        if most is not None and int(most) <= len(heads):
            heads, items = heads[: int(most)], False
        comma = f'"," {_SPACE}'
        if heads:
            if least < len(heads):
                # All of them are written, which no schema forbids.
                least = len(heads)
            parts = f" {comma} ".join(self._value(each, f"{where}/prefixItems") for each in heads)
            body = parts
            if items is not False:
                more = self._value(items, f"{where}/items")
                body += " " + repeated(
                    self._rule(f"{comma} {more}"), least - len(heads), None if most is None else int(most) - len(heads)
                )
            elif least > len(heads):
                raise NotEnforceable("'minItems' is more than there can be")
            return self._rule(f'"[" {_SPACE} {body} {_SPACE} "]"')
        if items is False or most == 0:
            if least:
                raise NotEnforceable("'minItems' is more than there can be")
            return self._rule('"[" "]"')
        item = self._value(items, f"{where}/items")
        more = repeated(self._rule(f"{comma} {item}"), max(0, least - 1), None if most is None else int(most) - 1)
        body = f"{item} {more}"
        return self._rule(f'"[" {_SPACE} {body if least else f"({body})?"} {_SPACE} "]"')

    def _object(self, schema: Schema, where: str) -> str:
        properties: dict[str, Any] = dict(schema.get("properties", {}))
        required = set(schema.get("required", ()))
        others = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
        for name in sorted(required - properties.keys()):
            properties[name] = others
        properties = {name: value for name, value in properties.items() if value is not False or name in required}
        least, most = schema.get("minProperties", 0), schema.get("maxProperties")
        if least > len(required):
            self._cannot("minProperties", where)
        if most is not None and (most < len(properties) or not properties):
            self._cannot("maxProperties", where)
        key = f'"\\"" {self._rule(ANY)}* "\\"" ":" {_SPACE}'
        if not properties:
            if others is False:
                return self._rule('"{" "}"')
            pair = self._rule(f"{key} {self._value(others, f'{where}/additionalProperties')}")
            return self._rule(f'"{{" {_SPACE} ({pair} ("," {_SPACE} {pair})*)? {_SPACE} "}}"')
        pairs = [
            (
                self._rule(
                    f'{literal(json.dumps(name, ensure_ascii=False))} ":" {_SPACE} {self._value(value, f"{where}/{name}")}'
                ),
                name in required,
            )
            for name, value in properties.items()
        ]
        return self._rule(f'"{{" {_SPACE} {self._in_order(pairs)} {_SPACE} "}}"')

    def _in_order(self, pairs: list[tuple[str, bool]]) -> str:
        """The pairs in their order, those that are not required or not, with commas between them."""
        after = first = '""'
        for pair, is_required in reversed(pairs):
            first = self._rule(f"{pair} {after}" if is_required else f"{pair} {after} | {first}")
            comma = f'"," {_SPACE} {pair}'
            after = self._rule(f"{comma} {after}" if is_required else f"({comma})? {after}")
        return first

    def _any(self) -> str:
        """Any JSON value."""
        if "any" not in self._rules:
            self._rules["any"] = ""
            string = f'"\\"" {self._rule(ANY)}* "\\""'
            pair = self._rule(f'{string} ":" {_SPACE} any')
            self._rules["any"] = " | ".join(
                [
                    f'"{{" {_SPACE} ({pair} ("," {_SPACE} {pair})*)? {_SPACE} "}}"',
                    f'"[" {_SPACE} (any ("," {_SPACE} any)*)? {_SPACE} "]"',
                    *(string, number_grammar.NUMBER, '"true"', '"false"', '"null"'),
                ]
            )
        return "any"


def _end(schema: Schema, inclusive: str, exclusive: str, tighter: Any) -> tuple[Decimal | None, bool]:
    """An end of a range, and whether it lies outside; ``exclusive`` is a number, or in old schemas whether the other one is."""
    found = [(Decimal(str(schema[inclusive])), schema.get(exclusive) is True)] if inclusive in schema else []
    if exclusive in schema and not isinstance(schema[exclusive], bool):
        found.append((Decimal(str(schema[exclusive])), True))
    if not found:
        return None, False
    value = tighter(each for each, _ in found)
    return value, any(outside for each, outside in found if each == value)


def _up(value: Decimal, *, exclusive: bool) -> int:
    """The least integer that is not below ``value``, or above it."""
    whole = int(value.to_integral_value(rounding="ROUND_CEILING"))
    return whole + 1 if exclusive and whole == value else whole
