"""The servers of the tests: one whose port somebody else took in the moment between takes another one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ollamamax.embedded import valkey
from tests import servers


def test_a_port_that_is_in_use_is_told(tmp_path: Path) -> None:
    first = valkey.TemporaryValkey(tmp_path / "first", port := servers.free_port())
    try:
        with pytest.raises(ChildProcessError, match="in use"):
            valkey.TemporaryValkey(tmp_path / "second", port)
    finally:
        first.stop()


def test_a_port_that_is_in_use_is_left_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [servers.free_port(), servers.free_port()]
    first = valkey.TemporaryValkey(tmp_path / "first", ports[0])
    monkeypatch.setattr(servers, "free_port", iter(ports).__next__)
    starting = servers.Servers()
    started = starting._valkey()
    try:
        assert started.url == valkey.public_url(ports[1])
    finally:
        starting.started.append(started)
        starting.stop()
        first.stop()


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = "import sys; from tests import servers; print(servers.short_folder('test'), flush=True); sys.stdin.read()"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", told], env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=-1, stdout=-1, text=True
        )
        for _ in range(2)
    ]
    killed, lives = (Path(run.stdout.readline().strip()) for run in runs if run.stdout)
    (killed / "valkey").mkdir()
    runs[0].kill()
    runs[0].wait()
    ours = servers.short_folder("test")
    assert set(tmp_path.glob("omx-*")) == {lives, ours}
    runs[1].communicate()
