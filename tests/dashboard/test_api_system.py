"""`/api/v1/system` and `/api/v1/settings`: the installation, for its operator, and no secret of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from ollamamax import env
from ollamamax.bus import directory, keys, regions
from ollamamax.contract import encode_json
from ollamamax.contract.loop_state import LoopState
from ollamamax.contract.tables import Registered

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/api/v1/system", "/api/v1/settings"])
def test_the_installation_is_its_operators(
    operator_api: APIClient, owner_api: APIClient, viewer_api: APIClient, anonymous_api: APIClient, path: str
) -> None:
    assert [api.get(path).status_code for api in (operator_api, owner_api, viewer_api, anonymous_api)] == [
        200,
        403,
        403,
        401,
    ]


def test_processes_loops_and_queues_are_told(operator_api: APIClient, valkey: redis.Redis) -> None:
    node = "a" * 32
    directory.publish(valkey, "nodes", {node: encode_json(Registered("b" * 32, "gpu-1", True))})
    valkey.rpush(keys.node_queue(node), b"x", b"y")
    valkey.sadd(keys.GATEWAYS, "g1", "g2")
    valkey.set(keys.gateway_alive("g1"), b"1")
    state = LoopState("bus.repair", "p1", time.time() - 3, 12.5, 40.0, 1000.0, error="it broke")
    valkey.hset(keys.LOOPS, "bus.repair", encode_json(state))
    found = operator_api.get("/api/v1/system").json()
    assert (found["postgres"]["error"], found["postgres"]["connections"] > 0) == ("", True)
    (region,) = found["regions"]
    assert (region["gateways"], region["gateways_missed"], region["error"]) == (1, 1, "")
    (loop,) = region["loops"]
    assert (loop["loop"], loop["leader"], loop["behind_ms"], loop["error"]) == ("bus.repair", "p1", 40.0, "it broke")
    assert region["queues"]["longest"] == [{"node": node, "node_name": "gpu-1", "messages": 2, "tickets": 0}]
    assert region["redis"]["role"] == "master"


def test_what_cannot_be_reached_says_so(operator_api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
    monkeypatch.setattr(regions.Region, "client", nowhere)
    found = operator_api.get("/api/v1/system")
    assert (found.status_code, found.json()["regions"][0]["error"]) == (200, "ConnectionError")


def test_every_setting_is_told_and_no_secret(operator_api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in env.SETTINGS:
        if setting.secret:
            monkeypatch.setenv(setting.name, "swordfish")
    monkeypatch.setenv("OLLAMAMAX_QUEUE_LENGTH", "77")
    answer = operator_api.get("/api/v1/settings")
    rows: dict[str, Any] = {each["name"]: each for each in answer.json()["results"]}
    assert list(rows) == [setting.name for setting in env.SETTINGS]
    assert b"swordfish" not in answer.content
    assert all(rows[setting.name]["hidden"] == setting.secret for setting in env.SETTINGS)
    queue = rows["OLLAMAMAX_QUEUE_LENGTH"]
    assert (queue["value"], queue["source"]) == ("77", "environment")
    monkeypatch.delenv("OLLAMAMAX_QUEUE_LENGTH")
    queue = {each["name"]: each for each in operator_api.get("/api/v1/settings").json()["results"]}[queue["name"]]
    assert (queue["value"] == queue["default"], queue["source"]) == (True, "default")
