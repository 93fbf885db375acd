"""The layers of the design, and the few places that may touch the world."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.architecture.code import ROOT, modules


def test_imports_point_down() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


READS_ENVIRONMENT = {
    Path("ollamamax/env.py"),
    # Only name Django's settings module.
    Path("ollamamax/cli.py"),
    Path("ollamamax/celery.py"),
    Path("ollamamax/asgi.py"),
    # A client's address and key: it has no settings.
    Path("ollamamax/remote/credentials.py"),
    # Starts a program and passes its own environment on.
    Path("cluster/engines/llamacpp_process.py"),
}


def test_settings_are_read_in_one_place() -> None:
    """`make up` apart: it plans the environment of others, before there are settings."""
    for path, tree in modules():
        if path in READS_ENVIRONMENT or path.parts[:2] == ("ollamamax", "embedded"):
            continue
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}), f"{path}:{node.lineno}"


def test_every_module_opens_with_its_sentence() -> None:
    for path, tree in modules():
        if tree.body and "migrations" not in path.parts:
            assert ast.get_docstring(tree), path


def test_migrations_import_no_code_that_may_change() -> None:
    """What a migration did once must stay what it does: Django, the standard library, and of ours only the kernel's identifiers."""
    for path, tree in modules():
        if "migrations" not in path.parts:
            continue
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            fixed = {"django"} | sys.stdlib_module_names
            assert all(name.split(".")[0] in fixed or name == "ollamamax.kernel.ids" for name in names), path


def test_migrations_are_named_and_linear() -> None:
    for package in (
        "ollamamax/bus",
        "ollamamax/audit",
        "ollamamax/identity",
        "ollamamax/sso",
        "ollamamax/provisioning",
        "ollamamax/oauth",
        "ollamamax/metering",
        "cluster",
        "models_registry",
        "ollamamax/batches",
        "ollamamax/evaluations",
    ):
        names = sorted(file.stem for file in (ROOT / package / "migrations").glob("0*.py"))
        assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)], package
        assert not [name for name in names if "_auto_" in name]
