"""A node in an environment of its own: the project's wheel with the extras of a node, and nothing that only a server needs."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT_EVERYTHING = """
import importlib, pkgutil
for name in ("cluster.worker", "cluster.engines", "models_registry.worker"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
"""


class NodeAlone:
    """Installed in ``folder`` from the clone at ``source``; skips the test where packages cannot be had."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.bin = folder / "environment" / "bin"
        self.home = folder / "home"
        self.folder = folder
        _run(["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source])
        [wheel] = folder.glob("ollamamax-*.whl")
        _run(["-m", "uv", "venv", "--quiet", "--python", sys.executable, folder / "environment"])
        wanted = f"ollamamax[node,llamacpp] @ {wheel.as_uri()}"
        constraints = source / "requirements-llamacpp.txt"
        _run(["-m", "uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--python", self.bin / "python",
              "--constraint", constraints, wanted])  # fmt: skip

    def packages(self) -> set[str]:
        """Names of what is installed, without the project's own."""
        said = _run(["-m", "uv", "pip", "freeze", "--quiet", "--python", self.bin / "python"])
        return set(re.findall(r"^([a-z0-9-]+)", said, re.MULTILINE)) - {"ollamamax"}

    def say(self, program: str, *arguments: str) -> str:
        """Run a program of the environment where no clone is in sight; what it printed."""
        done = subprocess.run(
            [self.bin / program, *arguments], cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=240
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it, and end it in order; what it logged is in the failure of a test that fails meanwhile."""
        command: list[str | Path] = [self.bin / "ollamamax-node", "run", "--home", self.home]
        log = self.folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        except BaseException as error:
            error.add_note(log.read_text()[-3000:])
            raise
        finally:
            process.terminate()
            status = process.wait(40)
        assert status == 0, log.read_text()[-3000:]

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder)}


def _run(arguments: list[str | Path]) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=400)
    if re.search(r"Failed to fetch|error sending request|dns error|client error \(Connect\)", done.stderr):
        pytest.skip("the packages of a node cannot be had here: there is no network")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
