"""The embedded PostgreSQL: closed without its password, and recovering from what a kill leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ollamamax.embedded import account, postgres, reach
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import Problem
from tests.patience import LONG
from tests.servers import free_port

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must become another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that any user may pass through, as PostgreSQL needs when root starts it; pytest keeps closing its own."""
    with tempfile.TemporaryDirectory(prefix="omx-open-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def closed_home(tmp_path: Path) -> Iterator[Home]:
    private = tmp_path / "root"
    private.mkdir(mode=0o700)
    home = Home(private / "home")
    home.create()
    yield home
    reach.remove(home)


@pytest.fixture
def programs(open_folder: Path) -> Path:
    """PostgreSQL's programs where its user can execute them, wherever the clone of these tests lies."""
    found = postgres.installation()
    return found if reach.can_execute(found) else reach.copy_programs(found, open_folder / "programs")


def test_a_wrong_password_is_refused(open_folder: Path) -> None:
    server = postgres.TemporaryPostgres(open_folder, free_port())
    try:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url.replace("ollamamax:", "ollamamax:x", 1))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url.replace("127.0.0.1", "localhost"), password="")
        assert postgres.is_ready(server.url)
    finally:
        server.stop()
    assert not postgres.is_ready(server.url)


def test_a_half_made_cluster_is_made_again(open_folder: Path, programs: Path) -> None:
    user = account.choose() if os.geteuid() == 0 else None
    half = open_folder / "data-half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    postgres.initialise(open_folder / "data", "secret", programs, user=user)
    assert (open_folder / "data" / "global" / "pg_control").exists()
    assert not half.exists()


def test_a_server_that_was_left_behind_is_ended(open_folder: Path) -> None:
    server = postgres.TemporaryPostgres(open_folder, free_port())
    assert postgres.end_leftover(open_folder / "data") == 1
    assert server.process.wait(LONG) is not None
    assert postgres.end_leftover(open_folder / "data") == 0


def test_a_lock_file_that_names_another_program_is_forgotten(tmp_path: Path) -> None:
    """After the restart of a container the process id is somebody else's, and PostgreSQL would refuse to start."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        (tmp_path / "postmaster.pid").write_text(f"{other.pid}\n{tmp_path}\n")
        assert postgres.end_leftover(tmp_path) == 0
        assert not (tmp_path / "postmaster.pid").exists()
        assert other.poll() is None
        other.kill()


def test_an_open_home_holds_its_own_data(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    assert reach.data(home, root=False) == home.postgres
    source = postgres.installation()
    assert reach.programs(home, source, root=False) == source


@as_root
def test_a_home_that_shuts_others_out_keeps_its_data_outside(closed_home: Home, programs: Path) -> None:
    data = reach.data(closed_home)
    assert closed_home.postgres.readlink() == data
    assert reach.data(closed_home) == data
    found = data.parent.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, account.of(closed_home), 0o710)
    postgres.initialise(data, "secret", programs, user=account.of(closed_home))
    assert data.stat().st_uid == account.of(closed_home)
    assert data.stat().st_mode & 0o077 == 0
    reach.remove(closed_home)
    assert not data.parent.exists()


@as_root
def test_programs_that_others_cannot_reach_are_copied_and_work(closed_home: Home) -> None:
    package = postgres.installation().parent
    wheels = closed_home.folder / "wheels"
    wheels.mkdir()
    subprocess.run(["cp", "-r", package, f"{package}.libs", wheels], check=True)
    hidden = wheels / package.name / "pginstall"
    programs = reach.programs(closed_home, hidden)
    assert programs != hidden
    assert reach.programs(closed_home, hidden) == programs
    postgres.initialise(reach.data(closed_home), "secret", programs, user=account.of(closed_home))


@as_root
def test_a_copied_home_does_not_share_the_database(closed_home: Home) -> None:
    data = reach.data(closed_home)
    copy = Home(closed_home.folder.with_name("copy"))
    copy.create()
    copy.postgres.symlink_to(data)
    with pytest.raises(Problem, match="is a copy of"):
        reach.data(copy)


@as_root
def test_a_moved_home_keeps_its_database(closed_home: Home) -> None:
    data = reach.data(closed_home)
    moved = Home(closed_home.folder.with_name("moved"))
    closed_home.folder.rename(moved.folder)
    assert reach.data(moved) == data
    assert reach.data(moved) == data
    reach.remove(moved)
    assert not data.parent.exists()


@as_root
def test_data_that_is_gone_is_not_replaced_silently(closed_home: Home) -> None:
    reach.data(closed_home)
    reach.remove(closed_home)
    with pytest.raises(Problem, match="is gone"):
        reach.data(closed_home)
