"""The units of systemd, read by systemd's own program where there is one, name programs and settings that there are."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from ollamamax import env
from ollamamax.cli import COMMANDS
from tests.architecture.code import ROOT

UNITS = sorted((ROOT / "ops" / "systemd").iterdir())


def read(unit: Path) -> list[tuple[str, str]]:
    """Every setting of a unit; a name may come more than once."""
    lines = [line for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return [(line.partition("=")[0], line.partition("=")[2]) for line in lines]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_names_what_there_is(unit: Path) -> None:
    configparser.ConfigParser(strict=False, interpolation=None).read(unit)
    known = {setting.name for setting in env.SETTINGS}
    for name, value in read(unit):
        if name == "Environment":
            assert value.partition("=")[0] in known
        if name == "ExecStart":
            program, command = value.split()[:2]
            assert program.startswith("/opt/ollamamax/bin/")
            assert command in {*COMMANDS, "%i", "run"}
        if name == "User":
            assert value == "ollamamax"
    if unit.suffix == ".service":
        assert {("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("UMask", "0077")} <= set(read(unit))


def test_systemd_takes_them(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not on this machine.")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    files = []
    for unit in UNITS:
        file = tmp_path / unit.name.replace("@.", "@web.")
        text = unit.read_text().replace("/opt/ollamamax/bin/ollamamax-node", str(program))
        file.write_text(text.replace("/opt/ollamamax/bin/ollamamax", str(program)))
        files.append(file)
    done = subprocess.run([verify, "verify", "--man=no", *files], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line and "not found" not in line]
    assert ours == []
