"""`/api/v1/health`, and how nodes and models say how they are: what the loop published, for whom it is."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.node import Joined
from cluster.fleet_watch import FleetWatch
from cluster.health.judge import SYSTEM
from cluster.worker.version import AGENT
from models_registry.actions.failed_jobs import tell_failed_jobs
from models_registry.models import Job
from ollamamax.bus import keys
from ollamamax.contract import Engine, Silence
from ollamamax.contract.health import decode_health
from ollamamax.contract.loop_state import LoopState
from ollamamax.contract.measured import Ended, EndedBatch, encode_ended
from ollamamax.contract.usage import encode_json
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join, join
from tests.cluster.conftest import says as node_says

__all__ = ["join"]

pytestmark = pytest.mark.django_db(transaction=True)
HEALTH = "/api/v1/health"


def says(valkey: redis.Redis, joined: Joined, **changes: Any) -> None:
    node_says(valkey, joined, agent_version=AGENT, **changes)


def frozen(**changes: Any) -> dict[str, Any]:
    return {"running": 2, "silence": Silence(65.0, 30.0, "writing", "m"), **changes}


def test_all_well_is_said_only_when_somebody_has_looked(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    says(valkey, joined)
    one = f"/api/v1/nodes/{joined.node.id}"
    unknown = owner_api.get(HEALTH).json()
    assert (unknown["state"], unknown["well"], unknown["problems"][0]["code"]) == ("unknown", False, "health_unknown")
    assert owner_api.get(one).json()["health"] == {"state": "unknown", "findings": []}
    FleetWatch().look(valkey)
    well = owner_api.get(HEALTH).json()
    assert (well["state"], well["well"], well["problems"]) == ("healthy", True, [])
    assert (well["counts"]["nodes"], well["counts"]["capacity"]) == (1, 4)
    assert owner_api.get(one).json()["health"] == {"state": "healthy", "findings": []}
    FleetWatch().look(valkey, now=time.time() - 60)
    old = owner_api.get(HEALTH).json()
    assert (old["state"], old["well"]) == ("unknown", False), "a minute ago is not now"


def test_an_engine_frozen_for_65_seconds_is_never_healthy(
    owner: Person, viewer_api: APIClient, stranger_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    says(valkey, joined, **frozen())
    FleetWatch().look(valkey)
    (node,) = viewer_api.get("/api/v1/nodes").json()["results"]
    assert node["health"]["state"] == "unhealthy"
    report = viewer_api.get(HEALTH).json()
    assert report["well"] is False
    (problem,) = report["problems"]
    assert (problem["code"], problem["severity"], problem["kind"]) == ("no_tokens", "critical", "node")
    assert (problem["id"], problem["name"]) == (str(joined.node.id), "gpu-1")
    assert problem["link"] == f"/api/v1/nodes/{joined.node.id}"
    assert problem["text"] == "No token for 65 s while 2 requests run (m)."
    assert problem["values"]["seconds"] == 65.0
    theirs = stranger_api.get(HEALTH).json()
    assert (theirs["problems"], theirs["counts"]["nodes"]) == ([], 0), "another tenant's data never leaves"


def test_who_may_see_nothing_is_refused_and_the_control_plane_is_the_operators(
    owner_api: APIClient, operator_api: APIClient, anonymous_api: APIClient, valkey: redis.Redis
) -> None:
    assert anonymous_api.get(HEALTH).status_code == 401
    state = LoopState("metering.write_usage", "p", time.time() - 300, 1.0, 0.0, 1000.0)
    valkey.hset(keys.LOOPS, state.loop, encode_json(state))
    FleetWatch().look(valkey)
    (problem,) = operator_api.get(HEALTH).json()["problems"]
    assert (problem["kind"], problem["code"]) == ("system", "loop_late")
    assert owner_api.get(HEALTH).json()["problems"] == []


def test_the_next_leader_goes_on_from_what_the_last_one_remembered(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    tenant, node = joined.node.tenant_id.hex, joined.node.id.hex
    says(valkey, joined, engines=[Engine("llamacpp", False, error="It is gone.")])
    now = time.time()
    first = FleetWatch().look(valkey, fence=1, now=now)
    second = FleetWatch().look(valkey, fence=2, now=now + 20)
    since = [report[tenant].nodes[node].findings[0].since for report in (first, second)]
    assert since[0] == since[1]
    assert decode_health(valkey.hget(keys.HEALTH, tenant) or b"").state == "unhealthy", "its only node does not work"


def test_what_gateways_counted_is_taken_once(owner: Person, join: Join, valkey: redis.Redis) -> None:
    joined = join(owner)
    says(valkey, joined)
    counted = Ended(joined.node.tenant_id.hex, "m:latest", joined.node.id.hex, ok=2, errors={"engine_failed": 3})
    valkey.rpush(keys.ENDED, encode_ended(EndedBatch(time.time(), [counted])), b"nonsense")
    watch = FleetWatch()
    report = watch.look(valkey)[joined.node.tenant_id.hex]
    assert report.nodes[joined.node.id.hex].findings[0].values == {"failed": 3, "requests": 5, "percent": 60.0}
    assert valkey.llen(keys.ENDED) == 0
    again = watch.look(valkey)[joined.node.tenant_id.hex]
    assert again.nodes[joined.node.id.hex].findings[0].values["requests"] == 5


def test_a_failed_job_is_told_until_it_was_repeated(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    from django.utils import timezone

    with tenant_scope(owner.tenant):
        values = {"tenant": owner.tenant, "kind": "pull", "model": "big:latest", "request": {}}
        failed = Job.objects.create(
            **values, fingerprint=uuid.uuid4().hex, state="failed", error="no room", finished_at=timezone.now()
        )
    assert tell_failed_jobs() == 1
    FleetWatch().look(valkey)
    (problem,) = owner_api.get(HEALTH).json()["problems"]
    assert (problem["code"], problem["values"]["job"]) == ("job_failed", failed.id.hex)
    assert problem["text"] == "The job to pull big:latest failed: no room."
    with tenant_scope(owner.tenant):
        Job.objects.create(**values, fingerprint=uuid.uuid4().hex, state="running")
    assert tell_failed_jobs() == 0
    assert FleetWatch().look(valkey)[SYSTEM].state == "healthy"
    assert owner_api.get(HEALTH).json()["problems"] == []
