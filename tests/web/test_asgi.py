"""One address: which application answers which path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from starlette.testclient import TestClient

from ollamamax.asgi import MOST_BYTES, Web
from tests.directories import publish_empty

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(valkey: redis.Redis) -> Iterator[TestClient]:
    publish_empty(valkey)
    with TestClient(Web(), base_url="http://localhost") as made:
        yield made


def test_ollamas_clients_learn_that_it_runs(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.text) == (200, "Ollama is running")
    assert client.head("/").status_code == 200


def test_browsers_get_the_console_with_a_strict_policy(client: TestClient) -> None:
    answer = client.get("/", headers={"Accept": "text/html"})
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/models", "invalid_api_key"),
        ("/api/tags", "unauthorized"),
        ("/api/v1/nodes", "unauthenticated"),
        ("/api/v1/blobs/sha256:" + "0" * 64, "unauthenticated"),
    ],
)
def test_each_protocol_refuses_in_its_own_form(client: TestClient, path: str, form: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert form in answer.text


def test_health_and_readiness_are_open(client: TestClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_body_too_large_for_the_management_api_never_reaches_it(client: TestClient) -> None:
    answer = client.post("/api/v1/session", content=b"x" * (MOST_BYTES + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000

    with pytest.raises(Exception):  # noqa: B017, PT011 - the connection ends without an answer
        client.post("/api/v1/session", content=chunks())


def test_unknown_paths_are_not_found_in_their_form(client: TestClient) -> None:
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/api/nothing").json() == {"error": "There is no /api/nothing here."}
    assert client.get("/api/v1/nothing").headers["content-type"] == "application/problem+json"
