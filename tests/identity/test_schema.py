"""The OpenAPI document and its page."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from openapi_spec_validator import validate


def test_the_schema_is_made_without_a_warning() -> None:
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert "openapi: 3" in out.getvalue()


def test_the_schema_is_served_and_valid(client: Client) -> None:
    schema = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    validate(schema)
    assert {"/api/v1/session", "/api/v1/me", "/api/v1/keys", "/api/v1/keys/{key_id}"} <= schema["paths"].keys()
    assert schema["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"


def test_the_page_runs_under_the_strict_content_security_policy(client: Client) -> None:
    page = client.get("/api/v1/docs/")
    policy = page["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    html = page.content.decode()
    assert not re.search(r"<style|<script>|<script [^>]*>[^<]|\son\w+=|\sstyle=|https?://", html)
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(sources) == 4
    for source in sources:
        if source.startswith("/static/"):
            assert finders.find(source.removeprefix("/static/")), source
        else:
            script = client.get(source)
            assert script.status_code == 200
            assert script["Content-Type"] == "application/javascript"
            assert b"SwaggerUIBundle(" in script.content
            assert b"/api/v1/schema/" in script.content


@pytest.mark.parametrize("path", ["/api/v1/schema/", "/api/v1/docs/"])
def test_both_are_open_to_everybody(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200
