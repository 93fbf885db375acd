"""Schemas and tools beyond their bounds are refused by the name of the bound, before anybody else waits for them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ollamamax.contract import Inference
from ollamamax.gateway import schemas
from ollamamax.kernel.errors import InvalidRequest


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def branches(depth: int) -> dict[str, Any]:
    return {"anyOf": [branches(depth - 1), branches(depth - 1)]} if depth else {"type": "null"}


BEYOND: dict[str, dict[str, Any]] = {
    "2000 values of 'enum'": {"enum": [f"v{n}" for n in range(100_000)]},
    "values of 'enum'": {"type": "object", "properties": {f"p{n}": {"enum": list(range(500))} for n in range(9)}},
    "512 parts of 'anyOf'": branches(14),
    "200 optional properties": {"type": "object", "properties": {f"p{n}": {} for n in range(2000)}},
    "64 levels of nesting": nested(5000),
    "20000 objects and lists": {"type": "object", "properties": {f"p{n}": {"items": [{}] * 120} for n in range(190)}},
    "1000000 characters": {"description": "x" * 1_100_000},
    "2000 references": {
        "allOf": [{"properties": {f"p{n}": {"$ref": "#"} for n in range(n, n + 190)}} for n in range(12)]
    },
    "1000 characters in a 'pattern'": {"pattern": "a" * 2000},
}
REAL = {
    "type": "object",
    "properties": {
        f"field{n}": {"type": "string", "enum": ["a", "b"], "description": "What it is. " * 20} for n in range(150)
    },
    "required": ["field1"],
}


@pytest.mark.parametrize(("bound", "schema"), BEYOND.items(), ids=BEYOND)
def test_a_schema_beyond_a_bound_is_refused_by_its_name(bound: str, schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=bound) as error:
        schemas.check(Inference("chat", format=schema))
    assert error.value.fields["param"] == "response_format"
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(InvalidRequest, match="The tool 'f' has more than") as error:
        schemas.check(Inference("chat", tools=[tool]))
    assert error.value.fields["param"] == "tools"


def test_what_real_clients_send_is_within_them() -> None:
    tools = [{"type": "function", "function": {"name": f"t{n}", "parameters": REAL}} for n in range(20)]
    schemas.check(Inference("chat", format=REAL, tools=tools))


def test_all_tools_together_have_a_bound_too() -> None:
    with pytest.raises(InvalidRequest, match="tools"):
        schemas.check(Inference("chat", tools=[{"type": "function"}] * 2000))
    tools = [{"type": "function", "function": {"name": f"t{n}", "parameters": REAL}} for n in range(500)]
    with pytest.raises(InvalidRequest, match="more than"):
        schemas.check(Inference("chat", tools=tools))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_no_schema_at_all_is_measured_all_the_same(seed: int) -> None:
    rng = random.Random(seed)

    def junk(depth: int) -> Any:
        if depth == 0 or rng.random() < 0.2:
            return rng.choice([None, 1, 1e300, True, "x", [], {}])
        if rng.random() < 0.5:
            return [junk(depth - 1) for _ in range(rng.randrange(4))]
        names = ("enum", "properties", "required", "anyOf", "$ref", "pattern", "function", "x")
        return {rng.choice(names): junk(depth - 1) for _ in range(rng.randrange(4))}

    for _ in range(50):
        schemas.check(Inference("chat", format={"a": junk(6)}, tools=[{"function": junk(5)}]))
