"""Pytest plugin, loaded before pytest-django reads the settings: starts the real servers the tests run on.

The first process starts PostgreSQL and hands its address to the workers; every process has a Valkey of its own,
because pub/sub channels and users are not separated by database number.
"""

from __future__ import annotations

import os

import pytest

from tests.servers import Servers

_servers = Servers()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    _servers.start(database="PYTEST_XDIST_WORKER" not in os.environ)


def pytest_unconfigure() -> None:
    _servers.stop()
