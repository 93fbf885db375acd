"""A fleet as nodes, gateways and the control plane leave it in Redis: the same keys, the same encodings."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import redis

from cluster.scheduling.fairness import score
from ollamamax.bus import keys
from ollamamax.contract import Engine, ModelState, NodeState, OpenRequest, UsageRecord, decode_open, encode_json
from ollamamax.kernel.ids import new_id
from tests.dispatch.calls import ALLOWED, Calls, account, admission

VERSION = "sha256:" + "5f" * 32


class Fleet:
    """Writes what the real parts write, synchronously."""

    def __init__(self, client: redis.Redis, tenant: str) -> None:
        self.client = client
        self.tenant = tenant
        self._call = Calls(client)
        self._seq: dict[str, int] = {}
        self.watch()

    def watch(self, until: float = 1e12) -> None:
        """Somebody has the live page open until then (Unix seconds)."""
        self.client.zadd(keys.LIVE_WATCHED, {self.tenant: until})

    def register(self, name: str, **facts: Any) -> str:
        """A node in the directory that has not reported."""
        node = new_id()
        entry = msgspec.json.encode({"tenant": self.tenant, "name": name, "schedulable": True, **facts})
        self.client.hset(keys.directory("nodes"), node, entry)
        return node

    def drain(self, node: str, name: str) -> None:
        entry = msgspec.json.encode({"tenant": self.tenant, "name": name, "schedulable": False})
        self.client.hset(keys.directory("nodes"), node, entry)

    def forget(self, node: str) -> None:
        self.client.hdel(keys.directory("nodes"), node)

    def report(self, node: str, **changed: Any) -> NodeState:
        """The node's next report, with believable telemetry."""
        self._seq[node] = self._seq.get(node, 0) + 1
        facts: dict[str, Any] = {
            "engines": [Engine(kind="llamacpp", healthy=True, version="b6123", hosts_blobs=True)],
            "capacity": 4,
            "running": 1,
            "waiting": 0,
            "tokens_per_second": 42.5,
            "models": [
                ModelState(
                    version=VERSION,
                    name="smollm2:135m",
                    state="loaded",
                    engine="llamacpp",
                    size=99061888,
                    memory=163577856,
                )
            ],
            "cpu_percent": 37.5,
            "cpu_count": 8,
            "memory_used": 9 << 30,
            "memory_total": 32 << 30,
            "disk_used": 180 << 30,
            "disk_total": 512 << 30,
            "network_received_per_second": 120_000.0,
            "network_sent_per_second": 1_450_000.0,
            "gpu_note": "No GPU: NVML is not on this host.",
        }
        state = NodeState(
            node=node,
            tenant=self.tenant,
            boot="b1",
            seq=self._seq[node],
            at=time.time(),
            agent_version="0.1.0",
            **(facts | changed),
        )
        self.client.set(keys.node_state(node), encode_json(state))
        return state

    def fall_silent(self, node: str) -> None:
        """What Redis does when the state's time to live is over; these states have none, however slow the machine."""
        self.client.delete(keys.node_state(node))

    def admit(self, node: str, node_name: str, **changed: Any) -> OpenRequest:
        facts: dict[str, Any] = {"model": "smollm2:135m", "api": "/v1/chat/completions", "received_at": time.time()}
        facts |= changed
        opened = OpenRequest(
            request=new_id(),
            gateway="g1",
            tenant=self.tenant,
            key="k1",
            version=VERSION,
            node=node,
            node_name=node_name,
            trace="0" * 32,
            admitted_at=facts["received_at"],
            **facts,
        )
        self.client.hset(keys.OPEN, opened.request, encode_json(opened))
        return opened

    def ask(self, node: str, node_name: str, *, slots: int = 1, **changed: Any) -> OpenRequest:
        """As a gateway admits it, with the product's own script: to one of the node's slots, or to a place in the queue."""
        facts: dict[str, Any] = {"model": "smollm2:135m", "api": "/v1/chat/completions", "received_at": time.time()}
        facts |= changed
        opened = OpenRequest(
            request=new_id(),
            gateway="g1",
            tenant=self.tenant,
            key="k1",
            version=VERSION,
            trace="0" * 32,
            admitted_at=facts["received_at"],
            **facts,
        )
        named = admission(
            opened.request,
            self.tenant,
            [(node, node_name, slots)],
            key=opened.key,
            gateway=opened.gateway,
            version=opened.version,
            open=encode_json(opened)[1:].decode(),
            age=(age := time.time() - opened.received_at),
            score=score(-age, opened.priority, ALLOWED),
        )
        self.client.set(keys.gateway_alive(opened.gateway), b"1")
        self._call("admit", named, b"ticket")
        given: Any = self.client.hget(keys.OPEN, opened.request)
        return opened if given is None else decode_open(given)

    def settle(self, opened: OpenRequest, **changed: Any) -> UsageRecord:
        """As a gateway settles it, with the product's own script."""
        facts: dict[str, Any] = {
            "prompt_tokens": 31,
            "completion_tokens": 64,
            "queue_ms": 0.8,
            "first_token_ms": 38.2,
            "duration_ms": 1240.0,
            "outcome": "ok",
        }
        record = UsageRecord(
            request=opened.request,
            tenant=opened.tenant,
            key=opened.key,
            model=opened.model,
            version=opened.version,
            node=opened.node,
            node_name=opened.node_name,
            api=opened.api,
            trace=opened.trace,
            received_at=opened.received_at,
            **(facts | changed),
        )
        self._call(
            "settle",
            account(opened.request, self.tenant, opened.node, version=opened.version, room=1),
            encode_json(record),
        )
        return record
