"""The management API by its own document: every place of every body is bounded, and nothing that anybody sends is an error of the server."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.conf import settings
from pytest_django import Settings
from rest_framework.test import APIClient

from tests.cast import Person, logged_in

DOCUMENT: dict[str, Any] = json.loads((settings.BASE_DIR / "frontend" / "openapi.json").read_bytes())
ENDS_THE_SESSION = ("DELETE", "/api/v1/session")
TRIES = 3
"""Of each operation, by each person."""


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    while "$ref" in found:
        found = DOCUMENT["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield method.upper(), path, operation


def body_schema(operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


# -- bounds


def is_bounded(text: dict[str, Any]) -> bool:
    """A text has a bound of its own, or what it may be is finite."""
    ends = ("uuid", "date-time", "date")
    pattern: str = text.get("pattern", "")
    finite = pattern.startswith("^") and pattern.endswith("$") and not set("*+") & set(pattern.replace("\\+", ""))
    return "maxLength" in text or "enum" in text or "const" in text or text.get("format") in ends or finite


def unbounded(schema: dict[str, Any], place: str, seen: tuple[int, ...] = ()) -> Iterator[str]:
    schema = resolved(schema)
    if id(schema) in seen:
        return
    seen = (*seen, id(schema))
    match schema.get("type"):
        case "array":
            if "maxItems" not in schema:
                yield f"{place}: a list without maxItems"
            yield from unbounded(schema.get("items", {}), f"{place}[]", seen)
        case "string" if not is_bounded(schema):
            yield f"{place}: a text without maxLength"
        case "integer" | "number" if "enum" not in schema and not {"minimum", "maximum"} <= schema.keys():
            yield f"{place}: a number without bounds"
    for name, inner in schema.get("properties", {}).items():
        if not resolved(inner).get("readOnly") and not inner.get("readOnly"):
            yield from unbounded(inner, f"{place}.{name}", seen)
    if isinstance(inner := schema.get("additionalProperties"), dict):
        yield from unbounded(inner, f"{place}.*", seen)
    for joined in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(joined, []):
            yield from unbounded(inner, place, seen)


def test_every_list_text_and_number_that_is_taken_has_a_bound() -> None:
    found: list[str] = []
    for method, path, operation in operations():
        for parameter in operation.get("parameters", []):
            found += unbounded(parameter["schema"], f"{method} {path}?{parameter['name']}")
        if (schema := body_schema(operation)) is not None:
            found += unbounded(schema, f"{method} {path}")
    assert found == []


# -- what nobody means


class Draw:
    """Values by a schema, and values that have nothing to do with it; the same again for the same seed."""

    def __init__(self, seed: str, known: list[str]) -> None:
        self._random = random.Random(seed)
        self._known = known

    def chance(self, part: float) -> bool:
        return self._random.random() < part

    def text(self) -> str:
        return self._random.choice(
            [
                *("", " ", "a", "a\0b", "\ud83d", "\u202egpj", "é" * 70, "x" * 5000, "-1", "0", "null", "../../etc/passwd", "%00", "a,b"),
                *("'; DROP TABLE x; --", "{}", "2026-02-30", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "gpu:1", "a" * 64),
                *self._known,
                str(uuid.UUID(int=self._random.getrandbits(128))),
            ]
        )  # fmt: skip

    def number(self) -> Any:
        return self._random.choice([0, 1, -1, 2, 100, 1 << 31, 1 << 63, -(1 << 63) - 1, 10**30, 0.5, 1e308, -0.0])

    def anything(self, depth: int = 0) -> Any:
        kinds: list[Callable[[], Any]] = [self.text, self.number, lambda: None, lambda: True]
        if depth < 3:
            kinds += [
                lambda: [self.anything(depth + 1) for _ in range(self._random.randrange(4))],
                lambda: {self.text(): self.anything(depth + 1) for _ in range(self._random.randrange(3))},
            ]
        return self._random.choice(kinds)()

    def by(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """What the schema allows, mostly: one place in ten holds something else."""
        schema = resolved(schema)
        if self.chance(0.1) or depth > 6:
            return self.anything()
        for joined in ("anyOf", "oneOf"):
            if joined in schema:
                return self.by(self._random.choice(schema[joined]), depth + 1)
        if "allOf" in schema:
            return self.by(schema["allOf"][0], depth + 1)
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        kind = schema.get("type")
        kind = self._random.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            required = set(schema.get("required", []))
            found = {
                name: self.by(inner, depth + 1)
                for name, inner in schema.get("properties", {}).items()
                if name in required or self.chance(0.5)
            }
            if isinstance(inner := schema.get("additionalProperties"), dict):
                found |= {self.text(): self.by(inner, depth + 1) for _ in range(self._random.randrange(3))}
            return found
        if kind == "array":
            return [self.by(schema.get("items", {}), depth + 1) for _ in range(self._random.randrange(4))]
        if kind in {"integer", "number"}:
            least, most = schema.get("minimum", -10), schema.get("maximum", 10)
            return self._random.choice([least, most, self._random.randint(int(least), int(most))])
        if kind == "boolean":
            return self.chance(0.5)
        if kind == "string":
            return self._random.choice(["name", "acme", "m:1", *self._known]) if self.chance(0.6) else self.text()
        return self.anything()

    def raw(self) -> bytes:
        return self._random.choice(
            [b"", b"{", b"\xff", b'{"a":"\xff"}', b"[" * 100_000, b"null", b"[]", b"1", b'"' + b"a" * 100_000 + b'"', b"\xef\xbb\xbf{}", b"NaN"]
        )  # fmt: skip


def ask(client: APIClient, draw: Draw, method: str, path: str, operation: dict[str, Any]) -> Any:
    query: dict[str, Any] = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = draw.by(parameter["schema"])
            given = value if isinstance(value, str) and draw.chance(0.8) else draw.text()
            path = path.replace(
                "{" + parameter["name"] + "}", given.encode("utf-8", "replace").decode().replace("/", "%2F") or "x"
            )
        elif parameter["in"] == "query" and draw.chance(0.6):
            value = draw.by(parameter["schema"])
            query[parameter["name"]] = str(value).encode("utf-8", "replace").decode()
    schema = body_schema(operation)
    url = path if not query else f"{path}?{'&'.join(f'{name}={quote(value)}' for name, value in query.items())}"
    if schema is None:
        return client.generic(method, url)
    data = draw.raw() if draw.chance(0.1) else json.dumps(draw.by(schema)).encode()
    sent: Any = data  # the stubs know texts only
    return client.generic(method, url, sent, content_type="application/json")


@pytest.fixture
def known(owner: Person, valkey: redis.Redis) -> list[str]:
    """Identifiers of what is there, so that not everything ends with 404."""
    client = logged_in(owner)
    node = client.post("/api/v1/nodes/tokens", {"expires_in": 600, "max_uses": 5}, format="json").json()
    joined = client.post(
        "/api/v1/nodes/join",
        {"token": node["token"], "name": "n1", "engine": "ollama", "agent_version": "1"},
        format="json",
    ).json()
    key = client.post("/api/v1/keys", {"name": "k"}, format="json").json()
    members = client.get("/api/v1/members").json()["results"]
    roles = client.get("/api/v1/roles").json()["results"]
    return [
        node["id"],
        joined["node"],
        key["id"],
        members[0]["id"],
        str(owner.tenant.id),
        *(role["slug"] for role in roles[:3]),
    ]


@pytest.mark.no_cover
@pytest.mark.django_db
@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", ["owner", "viewer"])
def test_nothing_that_anybody_sends_is_an_error_of_the_server(
    who: str, request: pytest.FixtureRequest, known: list[str], settings: Settings, tmp_path: Path
) -> None:
    settings.HOME = tmp_path
    person: Person = request.getfixturevalue(who)
    broken = []
    for method, path, operation in operations():
        if (method, path) == ENDS_THE_SESSION:
            continue
        for number in range(TRIES):
            client = logged_in(person)
            client.raise_request_exception = False
            draw = Draw(f"{who} {method} {path} {number}", known)
            answer = ask(client, draw, method, path, operation)
            if answer.status_code >= 500:
                broken.append((method, path, number, answer.status_code, answer.content[:200]))
    assert broken == []
