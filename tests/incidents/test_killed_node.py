"""A real node is killed with SIGKILL: one incident, which closes when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from rest_framework.test import APIClient

from cluster import membership
from cluster.actions.incident import follow_incidents
from cluster.actions.lifecycle import FollowedNodes, follow_nodes
from cluster.engines.build import EngineChoice
from cluster.fleet_watch import FleetWatch
from cluster.queries.health import read_reports
from cluster.worker.identity import Identity
from tests.cast import Person
from tests.cluster.conftest import Join
from tests.patience import wait_for
from tests.worker.conftest import Stub
from tests.worker.node import Node

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_node_killed_for_good_is_one_incident_which_closes_when_the_node_returns(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    joined, stub = join(owner, engine="openai"), Stub()
    identity = Identity(
        node=joined.node.id.hex,
        name="gpu-1",
        tenant=owner.tenant.id.hex,
        secret=joined.secret,
        redis_url=membership.redis_url(joined.node, joined.redis_password),
        url="http://127.0.0.1:1",
        engine=EngineChoice("openai", stub.url),
    )
    node = Node(identity, tmp_path, redis_url)
    followed, watch = FollowedNodes(), FleetWatch()

    def incidents() -> list[tuple[str, str]]:
        watch.look(valkey)
        follow_nodes(followed)
        follow_incidents(read_reports(valkey))
        found = owner_api.get("/api/v1/incidents", {"kind": "node_lost"}).json()["results"]
        return [(each["state"], each["subject_name"]) for each in found]

    def lifecycle() -> str:
        return str(owner_api.get(f"/api/v1/nodes/{joined.node.id}").json()["lifecycle"])

    try:
        boot = node.wait_ready().boot
        wait_for(lambda: incidents() == [] and lifecycle() == "ready", what="it is ready")
        node.process.kill()
        node.process.wait()
        wait_for(lambda: incidents() == [("open", "gpu-1")], what="the incident")
        assert lifecycle() in ("unreachable", "lost")
        node.restart()
        node.wait_ready(boot_other_than=boot)
        wait_for(lambda: incidents() == [("closed", "gpu-1")], what="its end")
        assert lifecycle() == "ready"
    finally:
        node.end()
        stub.stop()
