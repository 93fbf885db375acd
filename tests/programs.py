"""Programs of Debian that tests run beside the product."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """Where it is. Without it a test is skipped by name, but with CI set it fails."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"Debian's package {name} is missing.")
    pytest.skip(f"{name} is not installed.")
