"""Debian's Prometheus beside a running installation, with the configuration of the documents."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flow import documents
from tests.patience import LONG
from tests.servers import free_port

BLOCK = "docs/metrics.md: scrape_configs:"
FOLDER = "/var/lib/ollamamax"


def program(name: str) -> str:
    """Skips where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"There is no {name}: apt install prometheus")
    return found


@dataclass(frozen=True)
class Prometheus:
    url: str

    def get(self, path: str, **asked: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(asked)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that a query has now."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=query)["result"]
        return found

    def targets(self) -> dict[str, str]:
        """Which process each target is, and how it is."""
        return {each["labels"]["process"]: each["health"] for each in self.get("/api/v1/targets")["activeTargets"]}


@contextlib.contextmanager
def scraping(folder: Path, home: Path, rules: Path | None = None) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the installation in ``home`` each second, with those alerts."""
    [block] = [block for block in documents.blocks() if block.name.startswith(BLOCK)]
    config = f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{block.text.replace(FOLDER, str(home))}"
    if rules is not None:
        config += f'rule_files: ["{rules}/*.yml"]\n'
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    process = subprocess.Popen(
        [
            program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
    )  # fmt: skip
    try:
        made = Prometheus(f"http://127.0.0.1:{port}")
        end = time.monotonic() + LONG
        while True:
            try:
                with urllib.request.urlopen(f"{made.url}/-/ready", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, "Prometheus does not begin"
                time.sleep(0.05)
        yield made
    finally:
        process.kill()
        process.wait(LONG)
