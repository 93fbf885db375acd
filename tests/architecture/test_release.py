"""A release says everywhere the same version, and keeps what later ones are compared with."""

from __future__ import annotations

import importlib.util
import re

from django.conf import settings

from tests.contract.release import FOLDER, held

SPEC = importlib.util.spec_from_file_location("release", settings.BASE_DIR / ".ci" / "release.py")
assert SPEC is not None
assert SPEC.loader is not None
release = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(release)


def test_this_tree_could_be_released() -> None:
    assert release.problems() == []


def test_each_release_has_a_commit_and_what_it_wrote() -> None:
    kept = release.commits()
    assert kept
    for version, commit in kept.items():
        assert re.fullmatch(r"[0-9a-f]{40}", commit), version
        assert held(release.fixtures(version))
        assert release.version((settings.BASE_DIR / "pyproject.toml").read_text()) >= version


def test_what_is_kept_of_a_release_needs_nothing_of_this_one() -> None:
    for file in FOLDER.rglob("*.py"):
        assert "ollamamax." not in re.sub(r"tests\.contract\.releases\.", "", file.read_text()).replace(
            "`ollamamax.", ""
        ), file
