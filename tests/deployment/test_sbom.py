"""What each role is made of, as CycloneDX: valid, and exactly what its lock installs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from django.conf import settings

FOLDER = settings.BASE_DIR / "ollamamax" / "sbom"
ROLES = ("server", "node", "llamacpp")
AGAIN = "; run .ci/sbom.py again"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.cdx.json").read_text())
    return found


def parts(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["name"], each["version"]) for each in document["components"]}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_made_of_what_its_lock_installs(role: str) -> None:
    lock = (settings.BASE_DIR / f"requirements-{role}.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock, re.MULTILINE))
    assert len(locked) > 20
    assert parts(read(role)) == locked, AGAIN


def test_the_console_is_made_of_what_its_lock_installs() -> None:
    lock = json.loads((settings.BASE_DIR / "frontend" / "package-lock.json").read_text())
    locked = {
        (path.rpartition("node_modules/")[2], each["version"])
        for path, each in lock["packages"].items()
        if path and not each.get("dev") and not each.get("devOptional")
    }
    assert {("react", lock["packages"]["node_modules/react"]["version"])} <= locked
    assert parts(read("console")) == locked, AGAIN


@pytest.mark.parametrize("name", [*ROLES, "console"])
def test_a_document_is_valid_and_tied_to_no_place_or_moment(name: str) -> None:
    text = (FOLDER / f"{name}.cdx.json").read_text()
    version = {"1.5": SchemaVersion.V1_5, "1.6": SchemaVersion.V1_6}[json.loads(text)["specVersion"]]
    assert JsonStrictValidator(version).validate_str(text) is None
    assert not re.search(r"https?://(?!cyclonedx\.org/)|timestamp|serialNumber", text)
