"""`/healthz` and `/readyz`."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.test import Client

from ollamamax.bus import connect, regions
from tests.servers import free_port


def test_a_process_that_answers_is_alive_and_asks_nobody(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_with_both_servers_it_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "postgres": "ok", "redis": "ok"})


@pytest.mark.django_db
def test_without_redis_it_is_not(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = connect.connect(f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(regions.Region, "client", nowhere)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (503, "unavailable")


@pytest.mark.django_db
def test_without_postgres_inference_still_can_be_served(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "postgres": "unavailable", "redis": "ok"}
