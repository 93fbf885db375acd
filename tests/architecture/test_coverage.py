"""`make test` measures what the tests run, and fails below nine tenths of it."""

from __future__ import annotations

import re
import tomllib

from tests.architecture.code import PACKAGES, ROOT


def test_make_test_fails_below_ninety_percent() -> None:
    coverage = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert coverage["report"]["fail_under"] >= 90
    assert set(coverage["run"]["source"]) == set(PACKAGES)
    recipe = re.search(r"^test:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert "--cov " in recipe[1]
    assert "--no-cov" not in recipe[1]
