"""The whole way on real processes: an experiment of the API freezes the engine of one of two nodes that opted in, ends the fault, and reports."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import redis
from rest_framework.test import APIClient

from cluster import membership
from cluster.actions.experiment import carry_on_experiments
from cluster.actions.lifecycle import FollowedNodes, follow_nodes
from cluster.engines.build import EngineChoice
from cluster.worker.identity import Identity
from tests.cast import Person
from tests.cluster.conftest import Join
from tests.patience import wait_for
from tests.worker.conftest import Stub
from tests.worker.node import Node

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_engine_is_frozen_for_a_phase_and_the_run_says_how_long_its_node_took(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    stubs, nodes = [Stub(), Stub()], []
    followed = FollowedNodes()

    def look() -> dict[str, object]:
        follow_nodes(followed)
        carry_on_experiments(fence=1)
        return dict(owner_api.get(f"{where}/runs").json()["results"][0])

    def are_ready() -> bool:
        follow_nodes(followed)
        found = owner_api.get("/api/v1/nodes").json()["results"]
        return all(each["lifecycle"] == "ready" and each["telemetry"] and each["telemetry"]["models"] for each in found)

    try:
        for name, stub in zip(("gpu-1", "gpu-2"), stubs, strict=True):
            joined = join(owner, name=name, engine="openai")
            home = tmp_path / name
            home.mkdir()
            identity = Identity(
                node=joined.node.id.hex,
                name=name,
                tenant=owner.tenant.id.hex,
                secret=joined.secret,
                redis_url=membership.redis_url(joined.node, joined.redis_password),
                url="http://127.0.0.1:1",
                engine=EngineChoice("openai", stub.url),
            )
            nodes.append(Node(identity, home, redis_url, "--allow-fault=engine_freeze"))
        wait_for(are_ready, what="both nodes")
        (target,) = [each for each in owner_api.get("/api/v1/nodes").json()["results"] if each["name"] == "gpu-1"]
        assert target["telemetry"]["faults"] == ["engine_freeze"]
        body = {"name": "freeze", "fault": "engine_freeze", "nodes": [target["id"]], "seconds": 5, "repeats": 1}
        made = owner_api.post(
            "/api/v1/experiments", {**body, "hypothesis": {"recovery_seconds": 60}}, format="json"
        ).json()
        where = f"/api/v1/experiments/{made['id']}"
        assert owner_api.post(f"{where}/runs").status_code == 201
        frozen = psutil.Process(stubs[0].process.pid)
        wait_for(
            lambda: look()["step"] == "fault" and frozen.status() == psutil.STATUS_STOPPED, what="a stopped engine"
        )
        assert psutil.Process(stubs[1].process.pid).status() != psutil.STATUS_STOPPED
        wait_for(lambda: look()["step"] != "fault" and frozen.status() != psutil.STATUS_STOPPED, what="it goes on")
        wait_for(lambda: look()["step"] == "settle", what="its node is well")
        wait_for(lambda: look()["state"] == "done", what="the report")
        run = owner_api.get(f"{where}/runs").json()["results"][0]
        assert run["phases"][1]["held"] is True
        assert run["phases"][1]["recovery_seconds"] is not None
        assert run["report"]["verdict"] == "held"
        assert run["phases"][1]["figures"]["failed_share"] is None, "nobody asked anything: no data"
    finally:
        for node in nodes:
            node.end()
        for stub in stubs:
            stub.stop()
