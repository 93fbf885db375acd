"""A home is shut to every other user, made anew or by an older version, and PostgreSQL runs as nobody else does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamamax.embedded import account, private
from ollamamax.embedded.home import Home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
NOBODY = 65534
LOOK = """
import os, sys
user = int(sys.argv.pop())
os.setgroups([]); os.setgid(user); os.setuid(user)
seen = []
for folder, folders, files in os.walk(sys.argv[1], onerror=lambda error: None):
    seen += [folder, *(os.path.join(folder, name) for name in files)]
for path in [*seen, *sys.argv[2:]]:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
    except PermissionError:
        continue
    except FileNotFoundError:
        continue
    print(path)
"""


@pytest.fixture
def home() -> Iterator[Home]:
    """In a folder that anybody may pass through."""
    with tempfile.TemporaryDirectory(prefix="omx-open-") as folder:
        Path(folder).chmod(0o755)
        yield Home(Path(folder) / "home")


def fill(home: Home) -> list[Path]:
    """As an older version left it: open to all."""
    home.folder.mkdir(mode=0o755)
    made = []
    for name in ("secrets.json", "logs/web.log", "blobs/ab/cd", "files/one.jsonl", "valkey/appendonly.aof", "node-1/x"):
        path = home.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        made.append(path)
    (home.folder / "tool").write_text("x")
    for name in ("PG_VERSION", "base/1/2"):
        path = home.postgres / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        made.append(path)
    for path in (home.folder, *home.folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.name == "tool" else 0o644)
    return made


def seen_by(user: int, *paths: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK, *map(str, paths), str(user)],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    return str(done.stdout).splitlines()


def test_an_older_home_is_shut_and_what_its_owner_may_stays(home: Home) -> None:
    fill(home)
    outside = home.folder.parent / "outside"
    outside.write_text("x")
    outside.chmod(0o644)
    (home.folder / "link").symlink_to(outside)
    private.secure(home)
    for path in home.folder.rglob("*"):
        if not path.is_symlink():
            allowed = 0o700 if path.is_dir() or path.name == "tool" else 0o600
            assert path.stat().st_mode & 0o777 == allowed, path
    assert home.folder.stat().st_mode & 0o777 == (0o710 if os.geteuid() == 0 else 0o700)
    assert outside.stat().st_mode & 0o777 == 0o644


@as_root
def test_no_other_user_reads_anything_and_the_servers_reads_its_data_alone(home: Home) -> None:
    paths = fill(home)
    assert seen_by(NOBODY, home.folder, *paths)
    private.secure(home)
    assert seen_by(NOBODY, home.folder, *paths) == []
    user = account.of(home)
    assert user is not None
    data = [str(path) for path in paths if home.postgres in path.parents]
    assert sorted(set(seen_by(user, home.folder, *paths))) == sorted(data)


@as_root
def test_the_servers_user_is_chosen_once_and_again_where_somebody_else_has_the_number(home: Home) -> None:
    home.create()
    user = account.of(home)
    assert user in account.RANGE
    assert account.of(home) == user
    fill_postgres = home.postgres / "base"
    fill_postgres.mkdir(parents=True)
    home.remember(postgres_user=NOBODY)
    private.secure(home)
    other = account.of(home)
    assert other in account.RANGE
    assert {home.postgres.stat().st_uid, fill_postgres.stat().st_uid} == {other}


@as_root
def test_a_number_that_a_process_has_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = account.RANGE[:2]
    monkeypatch.setattr(account, "RANGE", account.RANGE[:2])
    become = f"import os, sys; os.setuid({first}); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", become], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        assert account.choose() == second
        other.kill()


def test_a_number_that_the_container_lacks_is_not_chosen(tmp_path: Path) -> None:
    few = tmp_path / "uid_map"
    few.write_text("         0     100000      65536\n     70000     200000          1\n")
    assert account._holds(few, 60706)
    assert account._holds(few, 70000)
    assert not account._holds(few, 70001)
    few.write_text("0 1000 1\n")
    assert not account._holds(few, 60706)
