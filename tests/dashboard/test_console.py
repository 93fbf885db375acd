"""The console's HTML page."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from dashboard import views

PAGE = b'<!doctype html><script type="module" src="/static/console/assets/index-1.js"></script>'


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "index.html"
    monkeypatch.setattr(views, "INDEX", path)
    views._read.cache_clear()
    return path


@pytest.mark.parametrize("path", ["/", "/login", "/keys"])
def test_every_address_of_the_console_serves_the_page(path: str, index: Path) -> None:
    index.write_bytes(PAGE)
    answer = Client().get(path)
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer["Cache-Control"] == "no-cache"
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]


def test_the_addresses_are_those_of_the_router() -> None:
    router = (settings.BASE_DIR / "frontend" / "src" / "router.tsx").read_text()
    served = {re.sub(r"<str:(\w+)>", r"$\1", "/" + path.pattern._route) for path in _urls()}
    assert served == set(re.findall(r"path: '([^']+)'", router))


def _urls() -> list[Any]:
    from dashboard.urls import urlpatterns

    return list(urlpatterns)


def test_a_new_build_is_served_without_a_restart(index: Path) -> None:
    index.write_bytes(b"old")
    os.utime(index, ns=(1, 1))
    assert Client().get("/").content == b"old"
    index.write_bytes(b"new")
    os.utime(index, ns=(2, 2))
    assert Client().get("/").content == b"new"


def test_without_a_build_it_says_how_to_make_one(index: Path) -> None:
    answer = Client().get("/")
    assert answer.status_code == 503
    assert b"npm run build" in answer.content


def test_it_only_reads(index: Path) -> None:
    assert Client().post("/").status_code == 405
