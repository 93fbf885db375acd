"""The Redis functions against a plain model of what they should do, in any order of events."""

from __future__ import annotations

import os
import time
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cluster.dispatch.gateway_lease import Patience
from cluster.dispatch.queue_position import read_own
from cluster.dispatch.settle_dead_gateways import settle_lost
from ollamamax.bus import keys
from ollamamax.contract import encode_json
from tests.dispatch.calls import VERSION, Calls, account, admission
from tests.dispatch.model import Asked, Model, Node
from tests.fakes.state import node_state

NODES = {name * 32: capacity for name, capacity in (("a", 1), ("b", 2), ("c", 3))}
GATEWAYS = ("1" * 32, "2" * 32)
TENANTS = {"d" * 32: 1.0, "e" * 32: 2.0, "f" * 32: 0.5}
MOST, MOST_OF_TENANT = 6, 4

LONG = 600.0
"""Seconds for which slots are kept here: until `Functions.nobody_came`."""

some_nodes = st.lists(st.sampled_from(sorted(NODES)), min_size=1, max_size=3, unique=True)


class Functions(RuleBasedStateMachine):
    """Each rule is one thing that gateways, nodes or operators do."""

    @initialize()
    def start(self) -> None:
        self.client = redis.Redis.from_url(os.environ["REDIS_URL"])
        self.client.flushall()
        self.model = Model(
            {name: Node(capacity) for name, capacity in NODES.items()},
            MOST,
            MOST_OF_TENANT,
            dict.fromkeys(GATEWAYS, True),
        )
        self.call = Calls(self.client)
        self.number = 0
        self.granted = self.client.pubsub(ignore_subscribe_messages=True)
        self.granted.psubscribe(keys.granted("*"))
        self.granted.get_message(timeout=1)
        for node in NODES:
            self._say(node)
        for gateway in GATEWAYS:
            self.client.set(keys.gateway_alive(gateway), b"1")
        self.client.sadd(keys.GATEWAYS, *GATEWAYS)

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self._everything_ends()
            self.granted.close()
            self.client.close()

    def _say(self, node: str) -> None:
        held = self.model.nodes[node]
        if held.alive:
            state = node_state(node, capacity=held.capacity, draining=not held.schedulable)
            self.client.set(keys.node_state(node), encode_json(state))
        else:
            self.client.delete(keys.node_state(node))

    def _room(self, node: str) -> int:
        return self.model.nodes[node].room

    def _shapes(self, nodes: list[str]) -> list[tuple[str, str, int]]:
        return [(node, node[0], self._room(node)) for node in nodes]

    def _rooms(self, nodes: list[str]) -> list[tuple[str, int]]:
        return [(node, self._room(node)) for node in nodes]

    @rule(
        tenant=st.sampled_from(sorted(TENANTS)),
        gateway=st.sampled_from(GATEWAYS),
        nodes=some_nodes,
        cost=st.floats(1, 1000),
        head_start=st.sampled_from([60.0, 0.0, -600.0]),
        concurrent=st.sampled_from([None, None, None, 2]),
        idle=st.sampled_from([False, False, False, True]),
        at_once=st.sampled_from([False, False, False, True]),
        count=st.integers(1, 4),
    )
    def admit(self, count: int, **wanted: Any) -> None:
        for _ in range(count):
            self._admit(**wanted)

    def _admit(
        self,
        tenant: str,
        gateway: str,
        nodes: list[str],
        cost: float,
        head_start: float,
        concurrent: int | None,
        idle: bool,
        at_once: bool = False,
    ) -> None:
        if not self.model.gateways[gateway]:
            return
        self.number += 1
        a = Asked(
            f"{self.number:032x}",
            tenant,
            tenant[::-1].replace(tenant[0], "9"),
            gateway,
            nodes,
            self.number - head_start,
            cost,
            TENANTS[tenant],
            concurrent,
            idle,
            at_once,
        )
        named = admission(
            a.request,
            a.tenant,
            self._shapes(nodes),
            key=a.key,
            gateway=gateway,
            version=VERSION,
            open=encode_json(self._open(a))[1:].decode(),
            # It counts from now: one apart must be more than the whole test takes.
            score=a.score * 10_000.0,
            cost=cost,
            weight=a.weight,
            counted=[a.key, a.tenant],
            limits=[] if concurrent is None else [["concurrent", tenant, concurrent, 1]],
            idle=idle,
            most_waiting=0 if at_once else MOST,
            most_waiting_of_tenant=MOST_OF_TENANT,
        )
        expected = self.model.admit(a)
        answer = self.call("admit", named, b"ticket of " + a.ticket.encode())
        assert answer[0].decode() == expected
        if expected in {"given", "waits"}:
            again = self.call("admit", named, b"ticket of " + a.ticket.encode())
            assert again[0] == answer[0], "a repeated call changes nothing"

    @staticmethod
    def _open(a: Asked) -> dict[str, Any]:
        now = time.time()
        return {
            "request": a.request,
            "gateway": a.gateway,
            "tenant": a.tenant,
            "key": a.key,
            "model": "echo",
            "version": VERSION,
            "api": "/api/chat",
            "trace": "c" * 32,
            "received_at": now,
            "admitted_at": now,
        }

    def _settle(self, request: str, work: float, *, may_keep: bool = False) -> None:
        a, node = self.model.opened[request]
        named = account(
            request,
            a.tenant,
            node,
            version=VERSION,
            counted=[a.key, a.tenant],
            weight=a.weight,
            room=self._room(node),
            work=work,
            pause=LONG if may_keep else None,
        )
        self.model.settle(request, work, may_keep=may_keep)
        self.call("settle", named, b"{}")
        # Settled again, as after an answer that was lost: nothing is corrected twice.
        self.call("settle", named, b"{}")

    @precondition(lambda self: self.model.opened)
    @rule(data=st.data(), work=st.floats(-500, 500), may_keep=st.booleans())
    def settle(self, data: st.DataObject, work: float, may_keep: bool) -> None:
        self._settle(data.draw(st.sampled_from(sorted(self.model.opened))), work, may_keep=may_keep)

    def _last_ones(self) -> list[str]:
        """Requests that others wait behind, of tenants that have nothing waiting themselves."""
        model = self.model
        wait = {each.tenant for each in model.waiting.values()}
        wanted = {node for each in model.waiting.values() for node in each.nodes}
        return sorted(r for r, (a, node) in model.opened.items() if a.tenant not in wait and node in wanted)

    @precondition(lambda self: self._last_ones())
    @rule(data=st.data(), comes=st.sampled_from(["the same", "another", "nobody"]), times=st.integers(1, 5))
    def one_thing_after_another(self, data: st.DataObject, comes: str, times: int) -> None:
        """A request ends; its tenant, or another one, asks next."""
        request = data.draw(st.sampled_from(self._last_ones()))
        for _ in range(times):
            a, node = self.model.opened[request]
            self._settle(request, 0.0, may_keep=True)
            if comes == "nobody":
                self.nobody_came()
            others = sorted(TENANTS.keys() - {a.tenant})
            tenant = a.tenant if comes != "another" else data.draw(st.sampled_from(others))
            self._admit(tenant, a.gateway, [node], a.cost, 0.0, None, idle=False)
            request = f"{self.number:032x}"
            if comes == "another" or request not in self.model.opened or request not in self._last_ones():
                return

    @rule(tenant=st.sampled_from(sorted(TENANTS)), cost=st.floats(1, 1000))
    def flood(self, tenant: str, cost: float) -> None:
        for node in NODES:
            for _ in range(2):
                self._admit(tenant, GATEWAYS[0], [node], cost, 0.0, None, idle=False)

    @rule()
    def nobody_came(self) -> None:
        """The time for which slots are kept is over."""
        self.model.nobody_came()
        for key in self.client.keys(keys.kept("*")):
            for kept in self.client.zrange(key, 0, -1):
                self.client.zadd(key, {kept: time.time() - 1})
        for key in self.client.keys(keys.returns("*")):
            if self.client.hexists(key, "until"):
                self.client.hset(key, "until", str(time.time() - 1))

    @precondition(lambda self: self.model.opened or self.model.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.model.opened.keys() | self.model.waiting.keys())))
        a = self.model.waiting.get(request) or self.model.opened[request][0]
        nodes = sorted({*a.nodes, self.model.opened[request][1]}) if request in self.model.opened else a.nodes
        named = {
            "request": request,
            "tenant": a.tenant,
            "ticket": a.ticket,
            "counted": [a.key, a.tenant],
            "nodes": self._rooms(nodes),
            "close": True,
        }
        a.nodes = nodes
        self.model.withdraw(request)
        self.call("withdraw", named, b"ticket of " + a.ticket.encode())

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data(), nodes=some_nodes)
    def wait_for_others(self, data: st.DataObject, nodes: list[str]) -> None:
        request = data.draw(st.sampled_from(sorted(self.model.waiting)))
        a = self.model.waiting[request]
        self.model.look(request, nodes)
        named = {
            "request": request,
            "ticket": a.ticket,
            "nodes": self._shapes(nodes),
            "moved": True,
            "offered": sorted(NODES),
        }
        answer = self.call("look", named)
        if request in self.model.opened:
            assert answer == [b"given", self.model.opened[request][1].encode()]
        else:
            assert answer == [b"waits" if request in self.model.waiting else b"lost"]

    @rule(node=st.sampled_from(sorted(NODES)), capacity=st.integers(1, 4))
    def change_capacity(self, node: str, capacity: int) -> None:
        self.model.nodes[node].capacity = capacity
        self._say(node)

    @rule(node=st.sampled_from(sorted(NODES)))
    def die_or_come_back(self, node: str) -> None:
        self.model.nodes[node].alive ^= True
        self._say(node)

    @rule(node=st.sampled_from(sorted(NODES)))
    def drain_or_resume(self, node: str) -> None:
        self.model.nodes[node].schedulable ^= True
        self._say(node)

    @rule(nodes=some_nodes)
    def fill(self, nodes: list[str]) -> None:
        for node in nodes:
            self.model.fill(node)
        self.call("fill", {"nodes": self._rooms(nodes)})

    @rule(gateway=st.sampled_from(GATEWAYS))
    def lose_or_start_gateway(self, gateway: str) -> None:
        self.model.gateways[gateway] ^= True
        if self.model.gateways[gateway]:
            self.client.set(keys.gateway_alive(gateway), b"1")
            self.client.sadd(keys.GATEWAYS, gateway)
        else:
            self.client.delete(keys.gateway_alive(gateway))

    @rule()
    def settle_what_gateways_lost(self) -> None:
        """Nodes noted how all tickets of dead gateways ended."""
        lost = [(a, node) for a, node in self.model.opened.values() if not self.model.gateways[a.gateway]]
        for a, node in lost:
            self.client.xadd(keys.node_done(node), {"t": a.ticket, "r": b"{}"})
        self.model.purge()
        # The order in which records lie in Redis is the order of settlement.
        for request in [r.decode() for r in self.client.hkeys(keys.OPEN)]:
            if request in {a.request for a, _ in lost}:
                self.model.settle(request, 0.0, may_keep=False)
        settle_lost(self.client, Patience(apart=0, calm=0))

    @invariant()
    def redis_is_as_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        model, client = self.model, self.client
        for node, held in model.nodes.items():
            assert client.smembers(keys.node_slots(node)) == {f"{r}.1".encode() for r in held.slots}
            assert len(held.slots) <= max(4, held.capacity)
            kept = {k.decode() for k in client.zrangebyscore(keys.kept(node), time.time(), "+inf")}
            assert kept == {" ".join(each) for each in held.kept}
        assert {r.decode() for r in client.hkeys(keys.OPEN)} == model.opened.keys()
        assert {r.decode() for r in client.zrange(keys.WAITING, 0, -1)} == model.waiting.keys()
        for tenant in TENANTS:
            own = sorted((a.score, a.request) for a in model.waiting.values() if a.tenant == tenant)
            assert {r.decode() for r in client.smembers(keys.active(tenant))} == model.active.get(tenant, set())
            for node in NODES:
                expected = [a for _, a in own if node in model.waiting[a].nodes]
                line = [r.decode() for r in client.zrange(keys.queue_node_tenant(node, tenant), 0, -1)]
                assert line == expected
            held_work = float(client.hget(keys.WORK, tenant) or 0)
            assert held_work == pytest.approx(model.work.get(tenant, 0.0))
        grants = []
        while (message := self.granted.get_message()) is not None:
            ticket, _, node = message["data"].decode().partition(" ")
            grants.append((message["channel"].decode().rpartition(":")[2], ticket, node))
        assert grants == model.grants
        model.grants.clear()
        assert set(read_own(client, "").places) == model.waiting.keys()

    def _everything_ends(self) -> None:
        """Then nothing is left of all that waited and ran."""
        for gateway in GATEWAYS:
            self.model.gateways[gateway] = True
            self.client.set(keys.gateway_alive(gateway), b"1")
        while self.model.waiting or self.model.opened:
            for request in list(self.model.waiting):
                a = self.model.waiting[request]
                named = {"request": request, "tenant": a.tenant, "ticket": a.ticket, "counted": [a.key, a.tenant]}
                self.model.withdraw(request)
                self.call("withdraw", {**named, "nodes": self._rooms(a.nodes), "close": True}, b"")
                break
            for request in list(self.model.opened):
                self._settle(request, 0.0)
                break
        # What lost its place with its gateway's lease is for whoever settles: all gateways are back by now.
        settle_lost(self.client, Patience(calm=0))
        left = {key.decode().split(":")[1] for key in self.client.keys("omx:*")} - {
            "usage",
            "recent",
            "drained",
            "ended",
            "dir",
            "gw",
            "gateways",
            "kept",
            "returns",
        }
        assert {key.decode() for key in self.client.keys("omx:queue:*")} <= {keys.WORK}
        assert left <= {"node", "queue"}
        assert not list(self.client.keys(keys.node_slots("*")))
        assert not list(self.client.keys("omx:active:*"))


Functions.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
pytestmark = pytest.mark.no_cover
TestFunctions = Functions.TestCase
