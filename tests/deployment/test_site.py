"""The documentation as a site: it has every page, no link leads nowhere, and nothing of it is loaded from elsewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from django.conf import settings

DOCS = settings.BASE_DIR / "docs"


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_of_docs", settings.BASE_DIR / ".ci" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_stands_in_one_section(site: ModuleType) -> None:
    named = [name for names in site.SECTIONS.values() for name in names]
    there = [str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")]
    assert sorted(named) == sorted(there)


def test_it_is_built_without_a_dead_link_and_needs_nobody_else(site: ModuleType, tmp_path: Path) -> None:
    site.build(tmp_path / "site")
    made = tmp_path / "site"
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*href=\"?(?:https?:)?//"
    )
    built = sorted(made.rglob("*.html"))
    assert [page for page in built if loads.search(page.read_text())] == []
    sought = json.loads((made / "search.json").read_text())
    told = json.dumps(sought)
    for name in (name for names in site.SECTIONS.values() for name in names):
        # A folder's README is its first page.
        address = f"docs/{name.removesuffix('README')}{'index' if name.endswith('README') else ''}.html"
        assert made / address in built
        assert address in told, "it is found by a search"
        assert (made / "docs" / f"{name}.md").exists(), "llms.txt leads to it"
        assert f"](docs/{name}.md)" in (made / "llms.txt").read_text()
