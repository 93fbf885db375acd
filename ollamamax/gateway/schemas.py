"""Bounds of the JSON schemas in a request, checked before it is given to anybody: an engine that makes a grammar of a huge
one serves nobody meanwhile. Pure.
"""

from __future__ import annotations

from typing import Any

from ollamamax.contract import Inference
from ollamamax.kernel.errors import InvalidRequest

DEEPEST = 64
"""Objects and lists within one another."""
MOST_NODES = 20_000
"""Objects and lists, of all schemas together."""
MOST_CHARACTERS = 1_000_000
"""Of all names and texts, descriptions included."""
MOST_VALUES = 2_000
"""Values of ``enum``, of one schema."""
MOST_PARTS = 512
"""Parts of ``anyOf``, ``oneOf`` and ``allOf``, of one schema."""
MOST_OPTIONAL = 200
"""Properties of one object that are not required: an engine's grammar has to foresee each of them after each."""
MOST_REFERENCES = 2_000
MOST_PATTERN = 1_000
"""Characters of one ``pattern``."""
MOST_TOOLS = 1_024
_COMBINED = ("anyOf", "oneOf", "allOf")


def check(inference: Inference) -> None:
    """Raises `InvalidRequest`, which names the bound, for a schema or tools beyond it."""
    total = _Total()
    if isinstance(inference.format, dict):
        _Measured("the JSON schema", "response_format", total).take(inference.format)
    if not inference.tools:
        return
    if len(inference.tools) > MOST_TOOLS:
        raise InvalidRequest(f"'tools' holds {len(inference.tools)} tools; {MOST_TOOLS} is the most.", param="tools")
    for tool in inference.tools:
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        _Measured(f"the tool {str(name)[:64]!r}", "tools", total).take(tool)


def check_schema(schema: dict[str, Any]) -> None:
    """Raises `InvalidRequest`, which names the bound, for a schema that is in no request yet."""
    _Measured("the JSON schema", "schema", _Total()).take(schema)


class _Total:
    def __init__(self) -> None:
        self.nodes = self.characters = 0


class _Measured:
    """What one schema has by now."""

    def __init__(self, what: str, param: str, total: _Total) -> None:
        self._what = what
        self._param = param
        self._total = total
        self._values = self._parts = self._references = 0

    def take(self, schema: Any) -> None:
        """Measure all of it, without recursion: how deep it is, is one of the bounds."""
        rest = [(schema, 1)]
        while rest:
            value, depth = rest.pop()
            if isinstance(value, str):
                self._total.characters += len(value)
                self._within("characters", self._total.characters, MOST_CHARACTERS)
            elif isinstance(value, dict):
                self._node(depth)
                self._keywords(value)
                self._total.characters += sum(map(len, value))
                rest += [(each, depth + 1) for each in value.values()]
            elif isinstance(value, list):
                self._node(depth)
                rest += [(each, depth + 1) for each in value]

    def _node(self, depth: int) -> None:
        self._total.nodes += 1
        self._within("levels of nesting", depth, DEEPEST)
        self._within("objects and lists", self._total.nodes, MOST_NODES)

    def _keywords(self, schema: dict[str, Any]) -> None:
        if isinstance(values := schema.get("enum"), list):
            self._values += len(values)
            self._within("values of 'enum'", self._values, MOST_VALUES)
        for keyword in _COMBINED:
            if isinstance(parts := schema.get(keyword), list):
                self._parts += len(parts)
                self._within("parts of 'anyOf', 'oneOf' and 'allOf'", self._parts, MOST_PARTS)
        if "$ref" in schema:
            self._references += 1
            self._within("references", self._references, MOST_REFERENCES)
        if isinstance(properties := schema.get("properties"), dict):
            required = schema.get("required")
            needed = (
                len(properties.keys() & {each for each in required if isinstance(each, str)})
                if isinstance(required, list)
                else 0
            )
            self._within("optional properties in one object", len(properties) - needed, MOST_OPTIONAL)
        if isinstance(pattern := schema.get("pattern"), str):
            self._within("characters in a 'pattern'", len(pattern), MOST_PATTERN)

    def _within(self, what: str, found: int, most: int) -> None:
        if found > most:
            raise InvalidRequest(
                f"{self._what[0].upper()}{self._what[1:]} has more than {most} {what}.", param=self._param
            )
