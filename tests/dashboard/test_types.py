"""The live topics as the console's TypeScript and the published document have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings
from rest_framework.test import APIClient

from dashboard import asyncapi, typescript
from dashboard.topics import TOPICS
from ollamamax.identity.roles import PERMISSIONS

TYPES: Path = settings.BASE_DIR / "frontend" / "src" / "live" / "types.ts"
PUBLISHED = Path(__file__).with_name("asyncapi-3.0.0.json")
"""AsyncAPI's own schema (github.com/asyncapi/spec-json-schemas, Apache-2.0) without the bindings and the examples."""


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(PUBLISHED.read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def test_the_typescript_types_are_those_of_the_payloads() -> None:
    assert TYPES.read_text() == typescript.declarations(), (
        "run: python -m dashboard.typescript > frontend/src/live/types.ts"
    )


def test_a_schema_without_a_typescript_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no TypeScript"):
        typescript._type({"type": "object"})


@pytest.mark.django_db
def test_the_document_of_the_socket_is_there_for_everybody_and_valid(anonymous_api: APIClient, validator: Any) -> None:
    document = anonymous_api.get("/api/v1/asyncapi.json").json()
    assert list(validator.iter_errors(document)) == []
    document["operations"]["ask"]["action"] = "shout"
    assert list(validator.iter_errors(document)) != []


def test_the_document_describes_every_topic_and_refers_to_nothing_that_is_missing() -> None:
    document = asyncapi.document()
    for topic in TOPICS.values():
        assert topic.permission in PERMISSIONS
        for what in ("Snapshot", "Event"):
            assert f"{topic.name.capitalize()}{what}" in document["channels"]["live"]["messages"]
    for reference in _references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in _references(inner)]
    return [each for inner in value for each in _references(inner)] if isinstance(value, list) else []
