"""Checks whether this tree can be a release, and keeps of a released commit what later ones are compared with.

``.ci/release.py check`` says what is missing. ``.ci/release.py record COMMIT``, on a clean tree of that commit or of one after it, keeps its
contract (`tests/contract/releases`), its management API (`.ci/releases/openapi-VERSION.json`), the names of its migrations
(`.ci/releases/migrations-VERSION.txt`: those after them must let its programs go on) and its commit (`.ci/releases/commits.json`), which are committed
next: `make bench ARGS="upgrade FOLDER"` is given a checkout of that commit, for tags may not travel.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASES = ROOT / ".ci" / "releases"
COMMITS = RELEASES / "commits.json"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603, S607 - fixed arguments and a commit


def version(pyproject: str) -> str:
    found: str = tomllib.loads(pyproject)["project"]["version"]
    return found


def fixtures(release: str) -> str:
    """The folder that keeps a release's contract: releases that differ in their last number have the same."""
    return "v" + "_".join(release.split(".")[:2])


def commits() -> dict[str, str]:
    """Release to its commit."""
    found: dict[str, str] = json.loads(COMMITS.read_text())
    return found


def problems() -> list[str]:
    """What keeps this tree from being a release, one sentence each."""
    now = version((ROOT / "pyproject.toml").read_text())
    found = []
    first = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if first is None or first[1] != now:
        found.append(f"CHANGELOG.md does not begin with {now}.")
    if f'"{now}"' not in (ROOT / "cluster" / "worker" / "version.py").read_text():
        found.append("A node that is not installed does not tell this version.")
    for release in commits():
        if not (ROOT / "tests" / "contract" / "releases" / fixtures(release) / "messages.json").exists():
            found.append(f"The messages of {release} are not kept.")
        if not (RELEASES / f"openapi-{release}.json").exists():
            found.append(f"The management API of {release} is not kept.")
    last = list(commits())[-1]
    if not (RELEASES / f"migrations-{last}.txt").exists():
        found.append(f"The names of the migrations of {last} are not kept.")
    return found


def record(commit: str) -> None:
    commit = git("rev-parse", f"{commit}^{{commit}}")
    release = version(git("show", f"{commit}:pyproject.toml"))
    subprocess.run([sys.executable, "-m", "tests.contract.release", commit, fixtures(release)], cwd=ROOT, check=True)  # noqa: S603 - our own module
    (RELEASES / f"openapi-{release}.json").write_text(git("show", f"{commit}:frontend/openapi.json") + "\n")
    migrations = re.findall(r"^\S*migrations/0\S+\.py$", git("ls-tree", "-r", "--name-only", commit), re.MULTILINE)
    (RELEASES / f"migrations-{release}.txt").write_text("\n".join(sorted(migrations)) + "\n")
    COMMITS.write_text(json.dumps(commits() | {release: commit}, indent=1) + "\n")


def main(arguments: list[str]) -> int:
    match arguments:
        case ["record", commit]:
            if git("status", "--porcelain"):
                print("Commit first: what is kept is that of a commit.", file=sys.stderr)  # noqa: T201
                return 1
            record(commit)
        case ["check"] | []:
            pass
        case _:
            print(__doc__, file=sys.stderr)  # noqa: T201
            return 2
    found = problems()
    for each in found:
        print(each, file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
