"""Behind a TLS proxy everybody is sent to HTTPS but programs of this machine that come past the proxy."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings


@pytest.fixture(autouse=True)
def https(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["ai.example", "127.0.0.1", "localhost"]


def status(**headers: str) -> int:
    return Client().get("/api/v1/nodes", **({"HTTP_HOST": "127.0.0.1:8000"} | headers)).status_code  # type: ignore[arg-type]


def test_a_program_of_this_machine_is_answered() -> None:
    assert status() == 401
    assert status(HTTP_HOST="localhost:8000") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_HOST": "ai.example"},
        {"REMOTE_ADDR": "10.0.0.7"},
        {"HTTP_X_FORWARDED_PROTO": "http"},
        {"HTTP_X_FORWARDED_FOR": "10.0.0.7"},
        {"HTTP_FORWARDED": "for=10.0.0.7"},
        {"HTTP_X_REAL_IP": "10.0.0.7"},
    ],
)
def test_whoever_a_proxy_speaks_for_is_sent_to_https(headers: dict[str, str]) -> None:
    assert status(**headers) == 301


def test_what_came_encrypted_is_answered() -> None:
    assert status(HTTP_HOST="ai.example", HTTP_X_FORWARDED_PROTO="https") == 401
