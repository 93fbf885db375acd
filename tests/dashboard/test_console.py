"""The console's HTML page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.test import Client

from dashboard import views

PAGE = '<!doctype html><meta name="v" content="__VERSION__"><script nonce="__CSP_NONCE__" src="/static/console/1.js"></script>'
HTML = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "index.html"
    monkeypatch.setattr(views, "INDEX", path)
    views._read.cache_clear()
    return path


@pytest.mark.parametrize("path", ["/", "/login", "/keys", "/requests/0123", "/models/a%2Fb", "/no/such/page/yet"])
def test_every_address_that_nothing_else_has_serves_the_page(path: str, index: Path) -> None:
    index.write_text(PAGE)
    answer = Client().get(path, headers=HTML)
    assert answer.status_code == 200
    assert "/static/console/1.js" in answer.content.decode()
    assert f'content="{views.VERSION}"' in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/api/v1/no-such", "/v1/no-such", "/v2/no-such", "/static/no-such.js", "/ws/no-such"])
def test_addresses_of_programs_never_serve_the_page(path: str, index: Path) -> None:
    index.write_text(PAGE)
    assert Client().get(path, headers=HTML).status_code == 404


@pytest.mark.parametrize("accept", ["*/*", "image/png", "application/json", ""])
def test_whoever_does_not_ask_for_html_is_told_that_there_is_nothing(accept: str, index: Path) -> None:
    index.write_text(PAGE)
    answer = Client().get("/favicon.ico", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_each_page_has_a_nonce_of_its_own_and_the_policy_allows_that_one_and_nothing_unsafe(index: Path) -> None:
    index.write_text(PAGE)
    seen = set()
    for _ in range(3):
        answer = Client().get("/", headers=HTML)
        [nonce] = re.findall(r'nonce="([^"]+)"', answer.content.decode())
        policy = dict(each.strip().split(" ", 1) for each in answer["Content-Security-Policy"].split(";"))
        assert policy["script-src"] == policy["style-src"] == f"'self' 'nonce-{nonce}'"
        assert "unsafe" not in answer["Content-Security-Policy"]
        seen.add(nonce)
    assert len(seen) == 3


def test_what_is_no_page_allows_no_nonce(index: Path) -> None:
    assert "nonce" not in Client().get("/healthz")["Content-Security-Policy"]


def test_a_new_build_is_served_without_a_restart(index: Path) -> None:
    index.write_text("old")
    os.utime(index, ns=(1, 1))
    assert Client().get("/").content == b"old"
    index.write_text("new")
    os.utime(index, ns=(2, 2))
    assert Client().get("/").content == b"new"


def test_without_a_build_it_says_how_to_make_one(index: Path) -> None:
    answer = Client().get("/")
    assert answer.status_code == 503
    assert b"npm run build" in answer.content


def test_it_only_reads(index: Path) -> None:
    assert Client().post("/").status_code == 405
