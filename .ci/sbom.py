"""Writes what each role is made of, as CycloneDX, into the package, so that every wheel and image carries it: ``.ci/sbom.py``. `make lock` runs it.

Locked versions for all platforms, by the locks that the roles are installed from; the console's by npm from its own lock. What is tied to
one place, moment or index is left out, so that the same locks give the same files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "ollamamax" / "sbom"
ROLES = ("server", "node", "llamacpp")


def of_lock(lock: Path) -> dict[str, Any]:
    """By cyclonedx-py. Raises `CalledProcessError`."""
    command = [
        sys.executable, "-m", "cyclonedx_py", "requirements", str(lock), "--pyproject", str(ROOT / "pyproject.toml"),
        "--output-reproducible", "--spec-version", "1.6", "--output-format", "JSON",
    ]  # fmt: skip
    return _without_places(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))  # noqa: S603 - fixed arguments


def of_console() -> dict[str, Any]:
    """By npm, of what the built console holds. Raises `CalledProcessError`."""
    npm = [sys.executable, str(ROOT / "ollamamax" / "embedded" / "install.py"), "npm", "sbom"]
    options = ["--package-lock-only", "--sbom-format", "cyclonedx"]
    found = json.loads(subprocess.run([*npm, *options], capture_output=True, check=True).stdout)  # noqa: S603 - fixed arguments
    # npm's own "--omit dev" leaves out too what a development tool needs besides, React among it: what the lock says goes.
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())["packages"]
    kept = {
        f"{path.rpartition('node_modules/')[2]}@{each['version']}"
        for path, each in lock.items()
        if path and not each.get("dev") and not each.get("devOptional")
    }
    found["components"] = [each for each in found["components"] if each["bom-ref"] in kept]
    root = found["metadata"]["component"]["bom-ref"]
    found["dependencies"] = [
        each | {"dependsOn": [other for other in each["dependsOn"] if other in kept]}
        for each in found["dependencies"]
        if each["ref"] in kept or each["ref"] == root
    ]
    return _without_places(found)


def _without_places(found: dict[str, Any]) -> dict[str, Any]:
    """No time, no number of its own, no index, no file of a machine; in the order of their names."""
    found.pop("serialNumber", None)
    found["metadata"] = {"component": found["metadata"]["component"]}
    for each in (found["metadata"]["component"], *found["components"]):
        for name in ("externalReferences", "description", "properties", "author", "authors"):
            each.pop(name, None)
    found["components"].sort(key=lambda each: (each["name"], each["version"]))
    # A part is called by what it is, not by the line of its lock.
    names = {each["bom-ref"]: each["purl"] for each in found["components"]}
    for each in found["components"]:
        each["bom-ref"] = each["purl"]
    for each in found["dependencies"]:
        each["ref"] = names.get(each["ref"], each["ref"])
        if "dependsOn" in each:
            each["dependsOn"] = sorted(names.get(other, other) for other in each["dependsOn"])
    found["dependencies"].sort(key=lambda each: each["ref"])
    return found


def documents() -> dict[str, str]:
    """File name to its text."""
    made = {f"{role}.cdx.json": of_lock(ROOT / f"requirements-{role}.txt") for role in ROLES}
    made["console.cdx.json"] = of_console()
    return {name: json.dumps(found, indent=1, sort_keys=True) + "\n" for name, found in made.items()}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
