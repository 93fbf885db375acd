"""What manages models answers as Ollama's published schemas say: whole answers, lines of progress, errors."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import ollama
import pytest

from tests.cast import Key
from tests.gateway import published
from tests.management.conftest import Served

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def http(served: Served, client: ollama.Client, owner_key: Key) -> httpx.Client:
    """After `client`, so that the gateway knows the key."""
    return served.http(owner_key)


@pytest.fixture
def made(client: ollama.Client, gguf: Path) -> dict[str, str]:
    return {"model.gguf": client.create_blob(gguf)}


def test_create(http: httpx.Client, made: dict[str, str]) -> None:
    lines = http.post("/api/create", json={"model": "streamed", "files": made}).text.splitlines()
    for line in lines:
        published.check("POST /api/create", json.loads(line), line=True)
    assert json.loads(lines[-1]) == {"status": "success"}
    whole = http.post("/api/create", json={"model": "whole", "files": made, "stream": False})
    published.check("POST /api/create", whole.json())


def test_copy_and_delete(http: httpx.Client, made: dict[str, str]) -> None:
    """As the `ollama` program sends them: a name in the older field too."""
    http.post("/api/create", json={"model": "one", "files": made, "stream": False}).raise_for_status()
    assert http.post("/api/copy", json={"source": "one", "destination": "two"}).status_code == 200
    assert http.request("DELETE", "/api/delete", json={"model": "", "name": "one"}).status_code == 200
    names = {model["name"] for model in http.get("/api/tags").json()["models"]}
    assert "one:latest" not in names


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/copy", {"source": "absent", "destination": "x"}),
        ("DELETE", "/api/delete", {"model": "absent"}),
        ("POST", "/api/create", {"model": "x", "from": "absent", "stream": False}),
        ("POST", "/api/create", {"model": 3}),
        ("POST", "/api/pull", {"model": "not a name", "stream": False}),
        ("POST", "/api/push", {"model": "absent", "stream": False}),
        ("GET", "/api/pull", None),
    ],
)
def test_errors(http: httpx.Client, method: str, path: str, body: dict[str, object] | None) -> None:
    answer = http.request(method, path, json=body)
    assert answer.status_code >= 400
    published.check_error(answer.json())
