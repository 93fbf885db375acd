"""Mutation testing of the modules that `tool.mutmut` in pyproject.toml names, in a copy of the clone below `build`.

Arguments: patterns of mutants to try (`cluster.scheduling.prompt*`); without any, all of them. MINUTES bounds it (60). What was found
out before counts, as long as neither the code nor the tests of the copy change: delete `build/mutants` to begin anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutants"
sys.path.insert(0, str(ROOT))

from tests.servers import Servers  # noqa: E402 - found by the line above

NOTICED = ("killed", "timeout", "segfault", "caught by type check")


def main(patterns: list[str]) -> int:
    _copy()
    servers = Servers()
    servers.start(database=True)
    os.environ["OMX_TEST_REDIS_URL"] = os.environ["REDIS_URL"]
    # One at a time: its tests share a database.
    run = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *patterns]
    try:
        subprocess.run(run, cwd=COPY, env=_environ(), timeout=60 * float(os.environ.get("MINUTES", "60")))  # noqa: S603
    except subprocess.TimeoutExpired:
        print("\nThe time is over; what was not tried is counted as such.", file=sys.stderr)  # noqa: T201
    finally:
        servers.stop()
    print(report(_results()))  # noqa: T201
    return 0


def _copy() -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    for name in filter(None, names.split("\0")):
        source, target = ROOT / name, COPY / name
        if source.is_file() and not (target.is_file() and target.read_bytes() == source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    (COPY / "staticfiles").mkdir(exist_ok=True)


def _environ() -> dict[str, str]:
    # The copy's modules, not those of the clone that is installed in place.
    return {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", "OMX_TEST_EXAMPLES": "30"}


def _results() -> dict[str, str]:
    """What became of each mutant, by its name."""
    told = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    said = subprocess.run(told, cwd=COPY, env=_environ(), capture_output=True, text=True, check=True)  # noqa: S603
    pairs = (line.strip().split(": ", 1) for line in said.stdout.splitlines() if ": " in line)
    return {name: state for name, state in pairs if "__mutmut_" in name}


def report(results: dict[str, str]) -> str:
    """A table of the modules, and the names of what survived, to be looked at with `mutmut show NAME` in the copy."""
    modules: dict[str, Counter[str]] = {}
    for name, state in results.items():
        counted = modules.setdefault(name.rpartition(".")[0], Counter())
        counted["noticed" if state in NOTICED else state] += 1
    lines = ["| module | tried | noticed | survived | without a test | score |", "|---|---|---|---|---|---|"]
    for module, counted in sorted([*modules.items(), ("all", sum(modules.values(), Counter()))]):
        tried = counted["noticed"] + counted["survived"]
        score = f"{100 * counted['noticed'] / tried:.0f} %" if tried else ""
        lines.append(
            f"| `{module}` | {tried} | {counted['noticed']} | {counted['survived']} | {counted['no tests']} | {score} |"
        )
    survivors = sorted(name for name, state in results.items() if state == "survived")
    return "\n".join([*lines, "", *survivors])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
