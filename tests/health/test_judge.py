"""What the judge finds: every reason can be reached, says since when and with which values, and goes away again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cluster.health.judge import GATEWAY_LOST
from cluster.health.snapshot import SeenLoop, SeenModel, SeenNode
from ollamamax.contract import Engine, Gpu, ModelState, Silence
from ollamamax.contract.health import FailedJob
from ollamamax.contract.measured import Ended
from tests.health.fleet import GIB, TENANT, VERSION, Looks, codes, ended, node_id, seen

Make = Callable[[float], SeenNode]


def gpu(**changes: Any) -> dict[str, Any]:
    usual = {"load_percent": 90.0, "memory_used": 14 * GIB, "memory_total": 16 * GIB, "temperature_celsius": 70.0}
    return {"gpus": [Gpu(0, "NVIDIA T4", **{**usual, **changes})]}


def engine(**changes: Any) -> dict[str, Any]:
    return {"engines": [Engine("ollama", False, error="It does not answer.", **changes)]}


OF_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "node_silent": ("unhealthy", {"silent": True}),
    "node_ignored": ("unhealthy", {"silent": True, "problem": "Its state is ignored: nested too deeply"}),
    "node_cut_off": ("unhealthy", {"silent": True, "cut": True, "problem": "It is cut off for 50 more seconds: x"}),
    "node_faulty": ("degraded", {"problem": "Not all that it says is taken: x"}),
    "node_draining": ("healthy", {"registered": {"schedulable": False}}),
    "engine_missing": ("unhealthy", {"engines": []}),
    "engine_down": ("unhealthy", engine()),
    "engine_frozen": ("unhealthy", engine(quarantined=[VERSION])),
    "engine_restarting": ("unhealthy", engine(restarting=True)),
    "engine_cache_full": ("degraded", {"engines": [Engine("ollama", True, kv_cache_percent=99.0)]}),
    "no_tokens": ("unhealthy", {"silence": Silence(65.0, 120.0, "writing", "m")}),
    "memory_full": ("degraded", {"memory_used": 61 * GIB}),
    "disk_full": ("unhealthy", {"disk_used": 495 * GIB}),
    "clock_skew": ("degraded", {"clock_skew_seconds": -30.0}),
    "model_failed": ("degraded", {"failed": [ModelState(VERSION, "m", "failed", "ollama", error="no room")]}),
    "agent_version": ("degraded", {"agent_version": "0.0.9"}),
    "gpu_hot": ("unhealthy", gpu(temperature_celsius=96.0)),
    "gpu_throttled": ("degraded", gpu(throttled=["hot"])),
    "gpu_ecc": ("degraded", gpu(ecc_errors=2)),
    "gpu_memory_broken": ("unhealthy", gpu(remap_failed=True)),
    "gpu_fault": ("unhealthy", gpu(xid=79, xid_seconds=5.0)),
    "gpu_memory_full": ("degraded", gpu(memory_used=16 * GIB)),
}


@pytest.mark.parametrize("code", OF_NODES)
def test_what_is_wrong_with_a_node_is_found_with_evidence_and_goes_away(code: str) -> None:
    state, changes = OF_NODES[code]
    looks = Looks()
    assert looks.last(lambda at: [seen(1, at), seen(2, at)]).state == "healthy"
    began = looks.now
    report = looks.last(lambda at: [seen(1, at, **changes), seen(2, at)])
    node = report.nodes[node_id(1)]
    assert codes(node) == {code}
    (finding,) = node.findings
    assert (node.state, node.name) == (state, "node-1")
    assert finding.text.endswith((".", "x", "deeply"))
    assert finding.text[0].isupper()
    assert began < finding.since <= began + 10
    assert node_id(2) not in report.nodes, "nothing is wrong with the other one"
    assert report.state == ("healthy" if state == "healthy" else "degraded")
    healed = looks.last(lambda at: [seen(1, at), seen(2, at)])
    assert (healed.state, healed.nodes) == ("healthy", {})


def test_a_node_with_late_reports_is_told() -> None:
    looks = Looks()
    looks.last(lambda at: [seen(1, at)])
    report = looks.last(lambda at: [seen(1, at / 2)])
    assert codes(report.nodes[node_id(1)]) == {"telemetry_late"}


def test_an_older_agent_that_makes_no_token_while_requests_run_is_told_after_a_minute() -> None:
    looks = Looks()
    old = {"silence": None, "tokens_total": None}
    looks.last(lambda at: [seen(1, at, **old)])
    report = looks.last(lambda at: [seen(1, at, tokens_per_second=0.0, **old)], 50)
    assert report.nodes == {}
    report = looks.last(lambda at: [seen(1, at, tokens_per_second=0.0, **old)], 20)
    (finding,) = report.nodes[node_id(1)].findings
    assert (finding.code, finding.severity) == ("no_tokens", "critical")
    assert finding.text.startswith("No token for ")
    assert "1 request runs" in finding.text


def test_memory_errors_that_grow_are_worse_than_old_ones() -> None:
    looks = Looks()
    looks.last(lambda at: [seen(1, at, **gpu(ecc_errors=2))])
    report = looks.look([seen(1, looks.now + 5, **gpu(ecc_errors=3))])
    (finding,) = report.nodes[node_id(1)].findings
    assert (finding.severity, finding.values["errors"]) == ("critical", 3)


def test_a_card_that_is_gone_is_missed() -> None:
    looks = Looks()
    two = [Gpu(0, "T4"), Gpu(1, "T4")]
    looks.last(lambda at: [seen(1, at, gpus=two)])
    report = looks.last(lambda at: [seen(1, at, gpus=two[:1])])
    assert codes(report.nodes[node_id(1)]) == {"gpu_gone"}
    assert looks.last(lambda at: [seen(1, at, gpus=two[:1], boot="new")]).nodes == {}, "its agent was started anew"


def test_requests_that_fail_are_told_of_the_node_the_model_and_the_tenant() -> None:
    looks = Looks()
    report = looks.last(lambda at: [seen(1, at)], 30, ended=[ended(1, ok=1, failed=1)])
    assert codes(report.nodes[node_id(1)]) == codes(report) == {"requests_failing"}
    assert report.models["m:latest"].state == "unhealthy"
    assert looks.last(lambda at: [seen(1, at)]).state == "healthy"


def test_a_gateway_that_dies_is_no_fault_of_the_nodes_that_worked_for_it() -> None:
    looks = Looks()
    lost = Ended(TENANT, "m:latest", node_id(1), ok=1, errors={GATEWAY_LOST: 5})
    report = looks.last(lambda at: [seen(1, at)], 30, ended=[lost])
    assert (report.nodes, report.models, codes(report)) == ({}, {}, {"requests_failing"})


def test_a_node_that_is_slower_than_it_was_is_told_and_one_that_always_was_is_not() -> None:
    looks = Looks()

    def fleet(at: float) -> Sequence[SeenNode]:
        return [seen(each, at) for each in (1, 2)]

    looks.last(fleet, 300, ended=[ended(1, 2, speed=50.0), ended(2, 2, speed=5.0)])
    report = looks.last(fleet, 180, ended=[ended(1, 2, speed=10.0), ended(2, 2, speed=5.0)])
    assert codes(report.nodes[node_id(1)]) == {"slower_than_before"}
    assert node_id(2) not in report.nodes
    assert looks.last(fleet, 600, ended=[ended(1, 2, speed=50.0)]).nodes == {}


def test_a_node_that_is_slower_than_others_of_its_kind_is_told() -> None:
    looks = Looks()
    report = looks.last(
        lambda at: [seen(each, at) for each in range(1, 5)],
        120,
        ended=[ended(each, 2, speed=5.0 if each == 3 else 50.0) for each in range(1, 5)],
    )
    assert set(report.nodes) == {node_id(3)}
    assert codes(report.nodes[node_id(3)]) == {"slower_than_peers"}


def test_a_model_that_no_node_can_run_is_unhealthy_and_says_why() -> None:
    looks = Looks()
    looks.last(lambda at: [seen(1, at), seen(2, at)])
    report = looks.last(lambda at: [seen(1, at, silent=True), seen(2, at, registered={"schedulable": False})])
    model = report.models["m:latest"]
    assert (model.state, codes(model)) == ("unhealthy", {"model_unavailable"})
    assert model.findings[0].text == "No node can run it: node-1 is silent, node-2 drains."
    assert report.state == "unhealthy"
    report = looks.last(lambda at: [seen(1, at), seen(2, at)], holders={})
    assert report.models["m:latest"].findings[0].text == "No node has it."
    report = looks.last(lambda at: [seen(1, at)], holders={}, coming={VERSION})
    assert (report.state, codes(report.models["m:latest"])) == ("healthy", {"model_coming"})


def test_draining_nodes_are_no_capacity() -> None:
    looks = Looks()
    report = looks.last(
        lambda at: [seen(1, at), seen(2, at, registered={"schedulable": False}), seen(3, at, draining=True)]
    )
    assert (report.counts.capacity, report.counts.draining, report.counts.healthy) == (4, 2, 1)
    report = looks.last(lambda at: [seen(2, at, registered={"schedulable": False})], models=())
    assert (report.state, codes(report), report.counts.capacity) == ("unhealthy", {"no_capacity"}, 0)
    assert report.findings[0].text == "No node takes requests: all of them drain."


def test_a_queue_that_grows_and_one_that_is_stuck_are_told() -> None:
    looks = Looks()
    for length in range(10, 40, 2):
        report = looks.look([seen(1, looks.now)], queued={TENANT: length}, ended=[ended(1, 1)])
    assert codes(report) == {"queue_growing"}
    looks.last(lambda at: [seen(1, at)], queued={TENANT: 2}, ended=[ended(1, 1)])
    report = looks.last(lambda at: [seen(1, at)], 180, queued={TENANT: 2})
    assert codes(report) == {"queue_stuck"}
    assert looks.last(lambda at: [seen(1, at)]).state == "healthy"


def test_failed_jobs_engines_of_several_versions_and_a_fleet_without_nodes_are_told() -> None:
    looks = Looks()
    job = FailedJob("1" * 32, "pull", "big:latest", "no room", looks.now)
    other = [Engine("ollama", True, version="0.11.0")]
    report = looks.last(lambda at: [seen(1, at), seen(2, at, engines=other)], failed_jobs={TENANT: [job]})
    assert (codes(report), report.state) == ({"job_failed", "engine_versions"}, "degraded")
    report = looks.last(lambda at: [], failed_jobs={TENANT: [job]})
    assert codes(report) == {"job_failed", "no_nodes"}
    assert report.models == {}, "where no node could have a model, none is missed"


def test_the_control_plane_is_judged_by_its_loops_and_by_what_waits_for_postgres() -> None:
    looks = Looks()
    looks.last(
        lambda at: [seen(1, at)],
        60,
        loops=[
            SeenLoop("a", 100.0, 1.0, 0.1),
            SeenLoop("b", 0.5, 1.0, 0.1, "OperationalError"),
            SeenLoop("c", 1, 1, 0),
        ],
        usage_waiting=30_000,
        usage_refused=1,
    )
    report = looks.reports[""]
    assert codes(report) == {"loop_late", "loop_failing", "usage_waiting", "usage_refused"}
    assert report.findings[0].severity == "critical", "the worst first"
    looks.last(lambda at: [seen(1, at)])
    assert looks.reports[""].state == "healthy"


def test_a_model_of_another_tenants_shared_node_is_served() -> None:
    looks = Looks()
    other = SeenModel("b" * 32, "m:latest", VERSION)
    looks.last(lambda at: [seen(1, at, registered={"access": ["*"]})], models=[other])
    assert looks.reports[""].state == "healthy"
    assert all(not report.models for report in looks.reports.values())
    looks.last(lambda at: [seen(1, at)], models=[other])
    assert codes(looks.reports["b" * 32]) == {"no_nodes"}
    assert set(looks.reports["b" * 32].models) == {"m:latest"}
