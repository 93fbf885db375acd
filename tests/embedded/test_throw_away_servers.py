"""The servers of the tests: one whose port somebody else took in the moment between takes another one."""

from __future__ import annotations

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
