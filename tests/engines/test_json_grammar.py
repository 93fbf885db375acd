"""Schemas as grammars: whatever a grammar lets through keeps its schema, and what cannot be kept is refused by name."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from cluster.engines import number_grammar
from cluster.engines.json_grammar import grammar_of
from cluster.engines.pattern_grammar import NotEnforceable, matched
from ollamamax.kernel.errors import Unsupported

TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "left": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
            "required": ["n", "left"],
        }
    },
    "$ref": "#/$defs/tree",
}
SCHEMAS: dict[str, Any] = {
    "empty": {},
    "object": {"type": "object"},
    "closed": {"type": "object", "additionalProperties": False},
    "mixed": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in "abcd"} | {'"é\n': {"type": "null"}},
        "required": ["b", "d", "elsewhere"],
    },
    "map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 3}},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
    "list": {"type": "array", "items": {"enum": ["a", 1, None, {"x": [1]}]}, "minItems": 2, "maxItems": 4},
    "old tuple": {"type": "array", "items": [{"type": "integer"}], "maxItems": 3},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 5},
    "long": {"type": "string", "minLength": 1001, "maxLength": 3500},
    "types": {"type": ["string", "null", "integer"], "maxLength": 3},
    "range": {"type": "integer", "minimum": -105, "exclusiveMaximum": 1207},
    "floats": {"type": "number", "minimum": -1.25, "maximum": 0.5},
    "above": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "old exclusive": {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 5},
    "constant": {"const": {"a": '\\ " \u2028'}},
    "enum of a type": {"enum": ["a", 1, True, 2.0], "type": "integer"},
    "union": {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": kind}, "v": {"type": kind}}, "required": ["kind", "v"]}
            for kind in ("string", "integer")
        ]
    },
    "siblings": {
        "properties": {"a": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"properties": {"b": {"const": 1}}}],
    },
    "all": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            {"required": ["a"], "properties": {"b": {}}},
        ]
    },
    "tree": TREE,
    "wrapped": {"$defs": {"s": {"type": "string", "minLength": 1}}, "allOf": [{"$ref": "#/$defs/s"}], "maxLength": 2},
    "names": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "boolean"}},
    **{f"format {name}": {"type": "string", "format": name} for name in ("date", "date-time", "uuid")},
}
PATTERNS = (
    *(
        r"^\d{3}$",
        r"^[\w-]+$",
        "ab",
        "^ab",
        "ab$",
        "^a|b$",
        r"^a.b$",
        r"^[^a-c]{2}$",
        r"^\S+@\S+\.\w{2,}$",
        r"^(?:x|yy)+z?$",
    ),
    *(
        r"^\x41\u00e9\/\-$",
        r"^[\]\\\"]{3}$",
        r"^$",
        r"^(?<year>\d{4})-(0[1-9]|1[0-2])$",
        r"^\W\D$",
        r"^[a\-z]*?$",
        r"^\s{2}$",
    ),
)
REFUSED: dict[str, Any] = {
    "not": {"not": {"type": "string"}},
    "if": {"if": {"type": "string"}, "then": {"minLength": 2}},
    "uniqueItems": {"type": "array", "uniqueItems": True},
    "multipleOf": {"type": "number", "multipleOf": 0.25},
    "patternProperties": {"type": "object", "patternProperties": {"^a": {}}},
    "contains": {"type": "array", "contains": {"type": "integer"}},
    "minProperties": {"type": "object", "minProperties": 2},
    "oneOf": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "elsewhere": {"$ref": "https://example.com/schema"},
    "not there": {"$ref": "#/$defs/nothing"},
    "back to itself": {"$ref": "#"},
    "'pattern'": {"type": "string", "pattern": "^(?=a)b$"},
    "looks around": {"type": "string", "pattern": "(?i)a"},
    "minLength": {"type": "string", "pattern": "^a+$", "minLength": 2},
    "is false": {"type": "object", "properties": {"a": False}, "required": ["a"]},
    "maxItems": {"type": "array", "maxItems": 100_000},
    "no integer": {"type": "integer", "minimum": 3, "maximum": 2},
}


class Writer:
    """Writes texts that a grammar lets through, at random: the part of GBNF that is used here."""

    def __init__(self, grammar: str, rng: random.Random) -> None:
        self._rules = dict(line.split(" ::= ", 1) for line in grammar.strip().split("\n"))
        self._rng = rng
        self._parsed: dict[str, Any] = {}

    def text(self, rule: str = "root", depth: int = 0) -> str:
        if rule not in self._parsed:
            tokens = re.findall(
                r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|[()|*+?]|[a-z]\w*', self._rules[rule]
            )
            self._parsed[rule] = self._either(tokens)
            assert not tokens
        return self._write(self._parsed[rule], depth)

    def _either(self, tokens: list[str]) -> Any:
        ways: list[list[Any]] = [[]]
        while tokens and tokens[0] != ")":
            token = tokens.pop(0)
            if token == "|":
                ways.append([])
            elif token == "(":
                ways[-1].append(self._either(tokens))
                assert tokens.pop(0) == ")"
            elif token in "*+?" or (token.startswith("{") and token[1].isdigit()):
                least, most = {"*": (0, 6), "+": (1, 6), "?": (0, 1)}.get(token) or self._bounds(token)
                ways[-1][-1] = ("times", ways[-1][-1], least, most)
            else:
                ways[-1].append(token)
        return ("either", ways)

    @staticmethod
    def _bounds(token: str) -> tuple[int, int]:
        low, comma, high = token[1:-1].partition(",")
        return int(low), int(high) if high else (int(low) + 5 if comma else int(low))

    def _write(self, node: Any, depth: int) -> str:
        if isinstance(node, str):
            if node[0] == '"':
                return self._plain(node[1:-1])
            if node[0] == "[":
                return self._character(node)
            return self.text(node, depth + 1)
        if node[0] == "times":
            _, inner, least, most = node
            count = least if depth > 12 else self._rng.choice([least, most, self._rng.randint(least, most)])
            return "".join(self._write(inner, depth) for _ in range(count))
        ways = node[1]
        # Deep down the last way is taken, in which every recursion of ours ends.
        way = ways[-1] if depth > 24 else self._rng.choice(ways)
        return "".join(self._write(each, depth) for each in way)

    def _plain(self, quoted: str) -> str:
        return re.sub(
            r"\\(x..|u....|U........|.)",
            lambda m: (
                {"n": "\n", "t": "\t", "r": "\r"}.get(m[1]) or (chr(int(m[1][1:], 16)) if len(m[1]) > 1 else m[1])
            ),
            quoted,
        )

    def _character(self, quoted: str) -> str:
        found = re.findall(r"\\x..|\\u....|\\U........|\\.|[^\\]", quoted[1:-1])
        points = [ord(self._plain(each)) if each != "-" else -1 for each in found]
        for end in (0, -1):
            if points[end] == -1:
                points[end] = ord("-")
        ranges: list[tuple[int, int]] = []
        at = 0
        while at < len(points):
            if at + 2 < len(points) and points[at + 1] == -1:
                ranges.append((points[at], points[at + 2]))
                at += 3
            else:
                ranges.append((points[at], points[at]))
                at += 1
        low, high = self._rng.choice(ranges)
        return chr(self._rng.choice([low, high, self._rng.randint(low, min(high, low + 90))]))


def written(grammar: str, count: int = 60) -> list[Any]:
    writer = Writer(grammar, random.Random(7))
    return [json.loads(writer.text()) for _ in range(count)]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_all_that_comes_through_keeps_the_schema(schema: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    if isinstance(schema.get("items"), list) or schema.get("exclusiveMinimum") is True:
        validator = jsonschema.Draft4Validator(schema)
    values = written(grammar_of(schema))
    for value in values:
        validator.validate(value)
    assert (
        len({json.dumps(value) for value in values}) > 1
        or "const" in schema
        or schema.get("additionalProperties") is False
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_kept(pattern: str) -> None:
    values = written(grammar_of({"type": "string", "pattern": pattern}))
    # ECMA-262 counts the mark of byte order among the spaces.
    spaces = r"\s" in pattern
    told = re.compile(pattern.replace("(?<", "(?P<").replace(r"\s", "[\\s\ufeff]"), 0 if spaces else re.ASCII)
    assert all(told.search(value) for value in values)


@pytest.mark.parametrize(("named", "schema"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused_by_name(named: str, schema: dict[str, Any]) -> None:
    inside = {"type": "object", "properties": {"a": schema}} if "$ref" not in schema else schema
    with pytest.raises(Unsupported, match=re.escape(named)):
        grammar_of(inside)
    # Where nobody was promised it, it is left out.
    assert grammar_of(inside, lenient=True)


@pytest.mark.parametrize(
    "pattern", ["(a?)*", "(a{1000}){1000}", "a{1001}", "[z-a]", "(a", "a)", r"\p{L}", r"\1", "a{3,2}", "*", "[]", "\\"]
)
def test_a_pattern_that_no_grammar_takes_is_refused(pattern: str) -> None:
    with pytest.raises(NotEnforceable):
        matched(pattern)


@pytest.mark.parametrize("seed", range(60))
def test_a_range_lets_through_what_lies_in_it_and_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    low, high = sorted(rng.randint(-3000, 3000) for _ in range(2))
    writer = Writer(f"root ::= {number_grammar.integers(low, high)}", rng)
    found = {int(writer.text()) for _ in range(80)}
    assert all(low <= each <= high for each in found)
    told = re.compile("|".join(f"(?:{each})" for each in [_as_regex(number_grammar.integers(low, high))]))
    for number in {low, high, low - 1, high + 1, (low + high) // 2, *(rng.randint(-4000, 4000) for _ in range(30))}:
        assert bool(told.fullmatch(str(number))) == (low <= number <= high), number
    a, b = sorted(Decimal(rng.randint(-400, 400)).scaleb(-rng.randint(0, 2)) for _ in range(2))
    above, below = rng.random() < 0.5, rng.random() < 0.5
    if a == b:
        above = below = False
    numbers = Writer(f"root ::= {number_grammar.numbers(a, b, above=above, below=below)}", rng)
    for _ in range(80):
        told_number = Decimal(numbers.text())
        assert a < told_number if above else a <= told_number
        assert told_number < b if below else told_number <= b


def _as_regex(rule: str) -> str:
    return re.sub(r'"([^"]*)"', lambda m: re.escape(m[1]), rule).replace(" ", "")


def test_an_object_of_many_properties_has_a_grammar_as_long_as_they_are_many() -> None:
    sizes = [
        len(grammar_of({"type": "object", "properties": {f"p{n:03}": {"type": "string"} for n in range(count)}}))
        for count in (50, 100, 200)
    ]
    assert sizes[2] - sizes[1] < 2.1 * (sizes[1] - sizes[0])
