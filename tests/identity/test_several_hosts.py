"""PostgreSQL with a standby, of real processes: the primary is killed, and comes back as if nothing had replaced it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from benchmarks.stores import Database, programs, wait
from ollamamax import env_forms
from ollamamax.identity.database import primary
from ollamamax.settings import database

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def servers() -> Iterator[Database]:
    if (bin_folder := programs()) is None:
        if os.environ.get("CI"):
            pytest.fail("Debian's package postgresql is missing.")
        pytest.skip("Debian's postgresql is not installed: it has pg_basebackup.")
    with tempfile.TemporaryDirectory(prefix="omx-hosts-") as place:
        Path(place).chmod(0o711)
        made = Database(Path(place) / "postgres", bin_folder)
        yield made
        made.stop()


def test_a_standby_that_is_promoted_takes_over_and_the_one_before_is_refused(servers: Database) -> None:
    first, second = servers.ports
    values: dict[str, Any] = database(env_forms.postgres_url(servers.url))
    pooled = values["OPTIONS"]["pool"]
    options = {name: value for name, value in values["OPTIONS"].items() if name != "pool"}
    wanted = options | {
        "host": values["HOST"],
        "port": values["PORT"],
        "user": values["USER"],
        "password": values["PASSWORD"],
        "dbname": values["NAME"],
        "autocommit": True,
    }
    kind = pooled["connection_class"]
    with ConnectionPool(
        kwargs=wanted, connection_class=kind, check=ConnectionPool.check_connection, min_size=1
    ) as pool:
        with pool.connection() as used:
            assert used.info.port == first
            used.execute("CREATE TABLE kept (number int)")
            used.execute("INSERT INTO kept VALUES (1)")
        servers.kill(first)
        servers.promote(second)
        with pool.connection() as used:
            assert used.info.port == second
            assert used.execute("SELECT number FROM kept").fetchall() == [(1,)], "what was said to be kept is there"
            used.execute("INSERT INTO kept VALUES (2)")
        servers.start(first, "-c", "synchronous_standby_names=")
        wait(lambda: servers.is_writable(first), "the deposed primary")
        with pool.connection() as used:
            assert used.info.port == second
        # A process that begins now has seen nothing yet, and looks at both.
        primary._known.clear()
        with kind.connect(**wanted) as fresh:
            assert fresh.info.port == second
        servers.kill(second)
        with pytest.raises(psycopg.OperationalError, match="was replaced by a later one"):
            kind.connect(**wanted)
