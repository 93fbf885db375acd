"""The order of test files where several processes share them: the longest first, so that none is left alone at the end."""

from __future__ import annotations

import os

import pytest

LONGEST = (
    "benchmarks/test_parts.py",
    "browser/test_console.py",
    "batches/test_durability.py",
    "batches/test_batches.py",
    "embedded/test_up.py",
    "flow/test_make_up.py",
    "processes/test_live.py",
    "engines/test_llamacpp.py",
    "engines/test_contract.py",
    "management/test_real_model.py",
    "flow/test_survive.py",
    "engines/test_load_options.py",
    "gateway/test_queue.py",
    "management/test_create.py",
    "management/test_pull.py",
    "processes/test_departed.py",
    "worker/test_tickets.py",
    "dispatch/test_functions.py",
    "worker/test_faults.py",
    "management/test_engines.py",
    "gateway/test_recovery.py",
    "management/test_adapter.py",
    "worker/test_hosted_model.py",
    "management/test_killed.py",
    "gateway/test_presence.py",
    "embedded/test_supervise.py",
    "benchmarks/test_simulation.py",
    "processes/test_gateway.py",
    "gateway/test_failures.py",
    "scheduling/test_routing.py",
    "processes/test_logs.py",
    "worker/test_drain.py",
)
"""Below tests/, by the seconds they take; what is not named takes less, and follows as it was found.

Of the four that start the whole product and take longest, two wait until others have begun: four starts at once take longer.
"""


_rank = {f"tests/{file}": number for number, file in enumerate(LONGEST)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _rank.get(item.nodeid.partition("::")[0], len(LONGEST)))
