"""The pool of database connections: after the server was away, the next request has one at once."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from psycopg import conninfo
from psycopg_pool import ConnectionPool

from ollamamax.settings import DATABASES, POOL
from tests.patience import LONG
from tests.servers import free_port

pytestmark = pytest.mark.django_db


@contextlib.contextmanager
def forwarding(port: int, host: str, to: int) -> Iterator[None]:
    """What connects to ``port`` is connected to the real server; at the end all of it is cut."""
    listening = socket.create_server(("127.0.0.1", port))
    opened: list[socket.socket] = [listening]

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection((host, to))
                opened.extend((client, server))
                threading.Thread(target=copy, args=(client, server), daemon=True).start()
                threading.Thread(target=copy, args=(server, client), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        for each in opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_a_server_that_was_away_is_not_waited_for_longer_than_it_was_away() -> None:
    real = connection.get_connection_params()
    port = free_port()
    info = conninfo.make_conninfo(
        host="127.0.0.1", port=port, dbname=real["dbname"], user=real["user"], password=real["password"]
    )
    with ConnectionPool(info, open=False, check=ConnectionPool.check_connection, **POOL) as pool:
        with forwarding(port, real["host"], int(real["port"])), pool.connection() as used:
            used.execute("SELECT 1")
        # The connection that the pool has is broken, and it gives up making another.
        with contextlib.suppress(psycopg.OperationalError), pool.connection(0.2) as used:
            used.execute("SELECT 1")
        end = time.monotonic() + LONG
        while pool.get_stats()["pool_size"] and time.monotonic() < end:
            time.sleep(0.02)
        assert pool.get_stats()["pool_size"] == 0
        with forwarding(port, real["host"], int(real["port"])), pool.connection() as used:
            assert used.execute("SELECT 1").fetchone() == (1,)


def test_connections_are_looked_at_before_a_request_has_them() -> None:
    assert DATABASES["default"]["CONN_HEALTH_CHECKS"] is True
