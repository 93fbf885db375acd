"""Autoscaling over the API, from what gateways counted to the plan: an objective, the decision with its reason, and that there is none without data."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.node import Joined
from cluster.health.snapshot import SeenNode
from cluster.history.recorder import Recorder, model_series, served_series, tenant_series
from cluster.models import Node
from cluster.placement.plan import plan
from cluster.placement.terms import LoadedReplica, LoadTerms, PlacementNode, PlacementVersion
from models_registry.actions.scaling import decide_scaling
from models_registry.actions.shapes import read_shapes
from models_registry.models import Version
from models_registry.queries.placement import with_scaling
from models_registry.queries.scaling import KnownScaling, open_requests
from models_registry.replication.scaling import ScalingTerms
from models_registry.replication.terms import ReplicationTerms
from ollamamax.bus import keys
from ollamamax.contract import ModelState, OpenRequest, encode_json
from ollamamax.contract.history import HOUR, Gauges, encode_entry, unpack
from ollamamax.contract.measured import Ended, EndedBatch
from ollamamax.contract.tables import Registered
from ollamamax.contract.usage import UsageRecord
from ollamamax.identity.scope import every_tenant
from tests import smollm
from tests.cast import Person, make_key, with_key
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)
GIB = 1 << 30
ADDRESS = "/api/v1/placement"
OBJECTIVE = {"queue_wait_ms": 2000, "cool_down_seconds": 60}


@pytest.fixture
def version(owner: Person, publish: Publish) -> Version:
    made = publish(owner, "smol:1", file=smollm.path())
    read_shapes()
    return made


@pytest.fixture
def terms(owner_api: APIClient, version: Version) -> str:
    (model,) = owner_api.get("/api/v1/models").json()["results"]
    return f"/api/v1/models/{model['id']}/replication"


def heard(valkey: redis.Redis, joined: Joined, version: Version, state: str = "ready", **more: object) -> None:
    model = ModelState(version.digest, "smol:1", state, "llamacpp", size=1, **more)  # type: ignore[arg-type]
    says(valkey, joined, model, memory_total=8 * GIB, memory_used=GIB)
    valkey.persist(keys.node_state(joined.node.id.hex))
    with every_tenant():
        Node.objects.filter(pk=joined.node.pk).update(lifecycle=Node.Lifecycle.READY, last_seen_at=timezone.now())


def ended(tenant: str, seconds: float, wait: float, node: str = "") -> Ended:
    found = Ended(tenant, "smol:1", node)
    found.count(UsageRecord(
        request="r", tenant=tenant, key="k", model="smol:1", version="v", node=node, node_name="", api="/v1", trace="",
        received_at=0.0, prompt_tokens=1, completion_tokens=50, queue_ms=wait * 1000, first_token_ms=(wait + 0.2) * 1000,
        duration_ms=(wait + seconds) * 1000, outcome="ok",
    ))  # fmt: skip
    return found


def counted(
    valkey: redis.Redis, person: Person, now: float, *, minutes: int, each_minute: int, seconds: float = 10.0
) -> None:
    """The last minutes, in each of which so many requests ended; as the controller that leads writes it."""
    tenant = person.tenant.id.hex
    for minute in range(minutes):
        at = now - 60 * minute
        batch = EndedBatch(at, [ended(tenant, seconds, 0.1) for _ in range(each_minute)])
        Recorder().put(valkey, at, [], {}, [batch], "taken")
    beat(valkey, person, now)


def beat(valkey: redis.Redis, person: Person, at: float) -> None:
    """That the tenant was looked at, then and for an hour."""
    for moment in (at - HOUR, at):
        value = encode_entry(Gauges(int(moment), [10, 40, 0, 0, 0]))
        valkey.append(keys.history(int(moment) // HOUR, tenant_series(person.tenant.id.hex)), value)


def decision(api: APIClient) -> dict[str, Any]:
    (found,) = api.get(ADDRESS).json()["scaling"]
    return dict(found)


def test_load_that_was_counted_wants_replicas_which_the_plan_loads(
    owner: Person, owner_api: APIClient, join: Join, version: Version, terms: str, valkey: redis.Redis
) -> None:
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        heard(valkey, join(owner, name), version)
    assert owner_api.get(ADDRESS).json()["scaling"] == []
    assert decide_scaling() == 0, "nobody stated an objective"
    assert owner_api.put(terms, {"scaling": OBJECTIVE}, format="json").status_code == 200
    found = decision(owner_api)
    assert (found["wanted"], found["reason"], found["decided_at"]) == (
        None,
        "no data: nobody has decided it lately",
        None,
    )
    # Thirty a minute of ten seconds each: five at once, on four slots a node.
    counted(valkey, owner, time.time(), minutes=30, each_minute=30)
    assert decide_scaling() == 1
    found = decision(owner_api)
    assert (found["wanted"], found["replicas"], found["model"]) == (3, 0, "smol:1")
    assert found["reason"].startswith("3 replicas for the load of the last minutes")
    assert found["load"] == pytest.approx(5.0, rel=0.1)
    assert (found["service_seconds"], found["tokens_per_second"], found["kept_percent"]) == (10.0, 5.0, 100.0)
    placement = owner_api.get(ADDRESS).json()
    assert {(each["verb"], each["node_name"], each["reason"]) for each in placement["steps"]} == {
        ("load", name, "autoscaling wants more replicas of it") for name in ("gpu-1", "gpu-2", "gpu-3")
    }
    # It is a proposal.
    assert placement["automatic"] is False


NODES = [PlacementNode(f"n{number}", "t", 10, 4, "kind") for number in range(5)]


def planned(version: PlacementVersion, known: KnownScaling | None, nodes: int, *others: PlacementVersion) -> list[str]:
    """The steps where each of so many nodes has the version in memory, and room for one."""
    loaded = [LoadedReplica(node.id, version.digest, 6) for node in NODES[:nodes]]
    terms = ReplicationTerms(scaling=ScalingTerms(queue_wait_ms=2000))
    scaled = with_scaling(version, terms, known, NODES[:nodes], loaded)
    return [step.verb for step in plan(NODES[:nodes], [scaled, *others], loaded).steps]


def test_what_a_schedule_allowed_stays_in_memory_while_nothing_is_decided() -> None:
    everywhere = frozenset(node.id for node in NODES)
    version = PlacementVersion("v", "t", {"kind": 6}, everywhere, LoadTerms(most=1))
    assert planned(version, KnownScaling(0.0, True, wanted=5), 5) == []
    assert planned(version, None, 5) == []


def test_the_least_replicas_stay_also_where_another_version_needs_their_room() -> None:
    everywhere = frozenset(node.id for node in NODES)
    version = PlacementVersion("v", "t", {"kind": 6}, everywhere, LoadTerms(least=2))
    other = PlacementVersion("other", "t", {"kind": 6}, everywhere, demand=1.0)
    assert planned(version, KnownScaling(0.0, True, wanted=2, least=2), 2, other) == []
    assert planned(version, KnownScaling(0.0, True, wanted=2), 2, other) != []


def test_what_takes_idle_slots_alone_asks_for_no_replica(owner: Person, valkey: redis.Redis) -> None:
    """Else it would fill each one that comes for it."""
    tenant = owner.tenant.id.hex
    record = UsageRecord(
        request="r", tenant=tenant, key="k", model="smol:1", version="v", node="n", node_name="", api="/v1", trace="",
        received_at=0.0, prompt_tokens=1, completion_tokens=50, queue_ms=0.0, first_token_ms=200.0, duration_ms=1e4, outcome="ok",
        idle_only=True,
    )  # fmt: skip
    found = Ended(tenant, "smol:1", "n")
    found.count(record)
    assert (found.ok, found.started, found.busy_ms, found.waits) == (1, 0, 0, {})
    for number in range(3):
        opened = OpenRequest(
            request=f"{number}", gateway="g", tenant=tenant, key="k", model="smol:1", version="v", api="/v1", trace="",
            received_at=0.0, admitted_at=0.0, node="n", idle_only=number > 0,
        )  # fmt: skip
        valkey.hset(keys.OPEN, f"{number}", encode_json(opened))
    assert open_requests(owner.tenant.id, ["v"], []) == {"v": (1, 0)}


def test_without_data_nothing_is_decided_and_nothing_leaves(
    owner: Person, owner_api: APIClient, join: Join, version: Version, terms: str, valkey: redis.Redis
) -> None:
    joined = join(owner)
    heard(valkey, joined, version, "loaded", memory=GIB, context_length=4096, slots=4)
    assert [each["verb"] for each in owner_api.get(ADDRESS).json()["steps"]] == ["unload"]
    assert owner_api.put(terms, {"scaling": OBJECTIVE}, format="json").status_code == 200
    assert decide_scaling() == 1
    found = decision(owner_api)
    assert (found["wanted"], found["reason"], found["measured_at"]) == (None, "no data: nothing was measured", None)
    assert owner_api.get(ADDRESS).json()["steps"] == []
    beat(valkey, owner, time.time() - 200)
    decide_scaling()
    assert decision(owner_api)["reason"].startswith("no data: the last measurement is 20")
    assert owner_api.get(ADDRESS).json()["steps"] == []
    # Measured, and asked for by nobody: what is loaded stays for the cool-down, and leaves then.
    beat(valkey, owner, time.time())
    decide_scaling()
    assert (decision(owner_api)["wanted"], decision(owner_api)["needed"]) == (1, 0)
    valkey.delete(keys.scaling(owner.tenant.id.hex))
    waits = OpenRequest("r", "g", owner.tenant.id.hex, "k", "smol:1", version.digest, "/v1", "", 1.0, 1.0)
    valkey.hset(keys.OPEN, "r", encode_json(waits))
    decide_scaling()
    assert (
        decision(owner_api)["reason"] == "no data: no request has ended yet, so that it is not known how long one runs"
    )


def test_bounds_and_schedules_hold_and_bad_terms_are_refused(
    owner: Person,
    owner_api: APIClient,
    stranger_api: APIClient,
    join: Join,
    version: Version,
    terms: str,
    valkey: redis.Redis,
) -> None:
    heard(valkey, join(owner), version)
    counted(valkey, owner, time.time(), minutes=30, each_minute=30)
    always = {"cron": "* * * * *", "least": 1, "most": 2, "zone": "Europe/Berlin"}
    never = {"cron": "* * 29 2 *", "least": 9}
    given = {"most_loaded": 1, "scaling": {**OBJECTIVE, "schedules": [never, always]}}
    before = owner_api.get(terms)
    after = owner_api.put(terms, given, format="json", HTTP_IF_MATCH=before["ETag"])
    assert after.status_code == 200, after.content
    assert after.json()["terms"]["scaling"]["schedules"][1] == always
    assert owner_api.put(terms, {}, format="json", HTTP_IF_MATCH=before["ETag"]).status_code == 412
    decide_scaling()
    assert decision(owner_api)["wanted"] == 2
    assert decision(owner_api)["reason"].endswith("2 is the most")
    bad: list[dict[str, Any]] = [
        {},
        {"queue_wait_ms": 1},
        {"queue_wait_ms": "soon"},
        {"queue_wait_ms": 1000, "share": 100},
        {"queue_wait_ms": 1000, "cool_down_seconds": 1},
        {"queue_wait_ms": 1000, "nonsense": 1},
        *({"queue_wait_ms": 1000, "schedules": [each]} for each in (
            {"cron": "often"}, {"cron": "*/0 * * * *"}, {"cron": "* * * * *", "zone": "Middle/Earth"}, {"cron": "* * * * *", "least": 2, "most": 1}
        )),
        {"queue_wait_ms": 1000, "schedules": [always] * 21},
    ]  # fmt: skip
    for each in bad:
        assert owner_api.put(terms, {"scaling": each}, format="json").status_code == 400, each
    reader = with_key(make_key(owner, permissions=["model.view"]).text)
    assert reader.put(terms, {"scaling": OBJECTIVE}, format="json").status_code == 403
    assert stranger_api.put(terms, {"scaling": OBJECTIVE}, format="json").status_code == 404
    assert stranger_api.get(ADDRESS).json()["scaling"] == []
    assert owner_api.put(terms, {"keep_warm": True}, format="json").status_code == 400


def test_models_are_kept_warm_by_how_likely_they_are_asked_for(
    owner: Person, owner_api: APIClient, join: Join, version: Version, terms: str, valkey: redis.Redis
) -> None:
    heard(valkey, join(owner), version)
    now = time.time()
    assert owner_api.put("/api/v1/replication", {"keep_warm": True}, format="json").status_code == 200
    decide_scaling()
    found = owner_api.get(ADDRESS).json()
    assert (found["keep_warm"], found["steps"]) == (True, [])
    assert [(each["model"], each["likely_percent"]) for each in found["warmth"]] == [("smol:1", None)]
    counted(valkey, owner, now, minutes=60, each_minute=1)
    decide_scaling()
    found = owner_api.get(ADDRESS).json()
    assert found["warmth"][0]["likely_percent"] > 90
    assert [(each["verb"], each["reason"]) for each in found["steps"]] == [
        ("load", "it is likely to be asked for soon")
    ]


def test_what_others_ask_of_the_tenants_nodes_counts_as_load_there(
    owner: Person, stranger: Person, valkey: redis.Redis
) -> None:
    now, mine, other = 1_800_000_000.0, owner.tenant.id.hex, stranger.tenant.id.hex
    node = SeenNode("n1", Registered(mine, "gpu", True), None)
    batch = EndedBatch(now, [ended(other, 5.0, 1.0, "n1"), ended(mine, 5.0, 1.0, "n1")])
    Recorder().put(valkey, now, [node], {}, [batch], "taken")
    hour = int(now) // HOUR

    def of(series: str) -> int:
        return sum(
            each.started
            for each in unpack(valkey.get(keys.history(hour, series)) or b"")
            if not isinstance(each, Gauges)
        )

    assert (of(served_series(mine, "smol:1")), of(model_series(mine, "smol:1")), of(model_series(other, "smol:1"))) == (
        1,
        1,
        1,
    )
    assert of(served_series(other, "smol:1")) == 0
