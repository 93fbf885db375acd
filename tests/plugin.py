"""Pytest plugin, loaded before pytest-django reads the settings: starts the real servers the tests run on.

The first process starts PostgreSQL and hands its address to the workers; every process has a Valkey of its own,
because pub/sub channels and users are not separated by database number.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.servers import Servers

_started: list[Servers] = []


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    # Imported here and not above, so that the measurement of coverage begins before our own modules are read.
    from tests.servers import Servers

    # On a busy machine an example may take long; fewer of them are enough where a suite runs once for each mutant.
    settings.register_profile("ours", deadline=None, max_examples=int(os.environ.get("OMX_TEST_EXAMPLES", "100")))
    settings.load_profile("ours")
    servers = Servers()
    _started.append(servers)
    servers.start(database="PYTEST_XDIST_WORKER" not in os.environ)


def pytest_unconfigure() -> None:
    for servers in _started:
        servers.stop()
