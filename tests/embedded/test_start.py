"""When a start says that it is ready."""

from __future__ import annotations

from typing import Any

import pytest

from ollamamax.embedded.start import serving
from ollamamax.embedded.welcome import QUESTION

OLD, NEW = "sha256:old", "sha256:new"
PUBLISHED: list[dict[str, Any]] = [
    {"name": "other:latest", "version": OLD},
    {"name": QUESTION["model"], "version": NEW},
]


def node(**models: str) -> dict[str, Any]:
    versions = {"old": OLD, "new": NEW}
    return {"telemetry": {"models": [{"version": versions[name], "state": state} for name, state in models.items()]}}


@pytest.mark.parametrize("state", ["present", "ready", "loading", "loaded"])
def test_a_node_serves_when_it_holds_the_version_that_is_published(state: str) -> None:
    assert serving([node(old="ready", new=state), node(new=state)], PUBLISHED) == 2


@pytest.mark.parametrize("state", ["fetching", "failed"])
def test_the_version_before_an_upgrade_does_not_count(state: str) -> None:
    assert serving([node(old="loaded", new=state), node(old="ready"), {"telemetry": None}], PUBLISHED) == 0


def test_any_model_counts_where_none_is_bundled() -> None:
    assert serving([node(old="ready"), node(new="fetching")], PUBLISHED[:1]) == 1
