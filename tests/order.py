"""The order of test files where several processes share them: the longest first, so that none is left alone at the end."""

from __future__ import annotations

import os

import pytest

LONGEST = (
    "benchmarks/test_parts.py",
    "browser/test_console.py",
    "embedded/test_up.py",
    "flow/test_make_up.py",
    "batches/test_durability.py",
    "engines/test_llamacpp.py",
    "processes/test_live.py",
    "batches/test_batches.py",
    "worker/test_tickets.py",
    "management/test_create.py",
    "management/test_real_model.py",
    "engines/test_contract.py",
    "management/test_pull.py",
    "engines/test_load_options.py",
    "worker/test_faults.py",
    "gateway/test_recovery.py",
    "gateway/test_queue.py",
    "processes/test_gateway.py",
    "management/test_engines.py",
    "benchmarks/test_simulation.py",
    "worker/test_hosted_model.py",
    "processes/test_departed.py",
    "registry/test_api_models.py",
    "flow/test_survive.py",
    "dispatch/test_functions.py",
    "management/test_adapter.py",
    "scheduling/test_routing.py",
    "processes/test_logs.py",
    "identity/test_api_keys.py",
    "embedded/test_supervise.py",
)
"""Below tests/, by the seconds they take; what is not named takes less, and follows as it was found."""

_rank = {f"tests/{file}": number for number, file in enumerate(LONGEST)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _rank.get(item.nodeid.partition("::")[0], len(LONGEST)))
