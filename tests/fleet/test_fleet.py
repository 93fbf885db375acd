"""What a gateway knows of its nodes, from a real Valkey, and whom it would send a request to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio
import redis

from cluster.fleet.fleet import Fleet
from cluster.fleet.node_allowance import NodeAllowances
from cluster.scheduling.candidate import Wanted
from cluster.scheduling.prompt import prefixes
from ollamamax.bus import connect, directory, keys
from ollamamax.bus.background import Background
from ollamamax.bus.directory import Directory
from ollamamax.contract import Engine, Inference, ModelState, NodeState, encode_json
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import NODES, Registered
from ollamamax.kernel.ids import new_id
from tests.patience import until

VERSION = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
CHAT = Inference("chat", messages=[{"role": "system", "content": "Be kind. " * 400}, {"role": "user", "content": "Hi"}])


class Town:
    """One gateway's view, a tenant, and nodes that say what a test lets them say."""

    def __init__(self, client: redis.Redis, following: Directory, fleet: Fleet) -> None:
        self.client = client
        self.directory = following
        self.fleet = fleet
        self.tenant = new_id()
        self.broken: set[tuple[str, str]] = set()

    async def node(self, tenant: str | None = None, registered: dict[str, Any] | None = None, **changes: Any) -> str:
        node = new_id()
        await self.register(node, tenant=tenant or self.tenant, **(registered or {}))
        await self.say(node, **changes)
        return node

    async def register(self, node: str, **changes: Any) -> None:
        entry = Registered(**{"tenant": self.tenant, "name": node[:4], **changes})
        directory.publish(self.client, "nodes", {node: msgspec.json.encode(entry)})
        await until(lambda: bool(self.directory.get(NODES, node) == entry))

    async def say(self, node: str, **changes: Any) -> None:
        before = self.fleet._states.get(node)
        models = changes.pop("models", [ModelState(VERSION, "m", "loaded", "llamacpp", context_length=4096)])
        given: dict[str, Any] = {"capacity": 4, "running": 0, "waiting": 0, "memory_used": 1, "memory_total": 10**10}
        state = NodeState(
            node=node,
            tenant=self.tenant,
            boot="b",
            seq=1,
            at=0.0,
            agent_version="1",
            engines=[Engine("llamacpp", True)],
            tokens_per_second=0.0,
            models=models,
            cpu_percent=0.0,
            cpu_count=1,
            disk_used=0,
            disk_total=0,
            network_received_per_second=0.0,
            network_sent_per_second=0.0,
            **{**given, **changes},
        )
        data = encode_json(state)
        self.client.set(keys.node_state(node), data, px=4000)
        self.client.publish(keys.node_state_channel(node), data)
        await until(lambda: self.fleet._states.get(node) is not before)

    def wants(self, **changes: Any) -> Wanted:
        return Wanted(**{"tenant": self.tenant, "version": VERSION, **changes})

    def order(self, **changes: Any) -> list[str]:
        return [each.node for each in self.fleet.route(self.wants(**changes))]

    def why_not(self, node: str, **changes: Any) -> str | None:
        without = changes.pop("without", ())
        return dict(self.fleet.ruled_out(self.wants(**changes), without=without)).get(node)


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    url = os.environ["REDIS_URL"]
    client = redis.Redis.from_url(url)
    client.flushall()
    directory.reconcile(client, "nodes", dict)
    following = Directory(url, [NODES])
    await following.start()
    await following.wait_loaded()
    listening = connect.connect_async(url)
    background = Background()
    fleet = Fleet(
        url,
        listening,
        following,
        NodeAllowances(),
        background,
        is_open=lambda node, version: (node, version) in made.broken,
    )
    made = Town(client, following, fleet)
    await fleet.start()
    yield made
    await background.stop()
    await following.stop()
    await listening.aclose()
    client.close()


async def test_nodes_that_have_the_version_are_candidates(town: Town) -> None:
    node = await town.node()
    without = await town.node(models=[])
    assert town.order() == [node]
    assert town.why_not(node) is None
    assert town.why_not(without) == "model_absent"
    assert town.fleet.route(town.wants())[0].reason == "only"


async def test_another_tenants_node_is_none_of_our_business(town: Town) -> None:
    theirs = await town.node(new_id())
    assert town.order() == []
    assert town.why_not(theirs) is None


async def test_a_shared_node_serves_every_tenant_what_it_has(town: Town) -> None:
    shared = await town.node(new_id(), {"shared": True})
    await town.node(new_id(), {"shared": True}, models=[])
    assert town.order() == [shared]
    assert town.fleet.ruled_out(town.wants()) == []
    own = await town.node()
    assert town.order() == [own, shared]


async def test_a_node_serves_the_tenants_in_its_list_and_no_others(town: Town) -> None:
    ours, owner = town.wants().tenant, new_id()
    listed = await town.node(owner, {"access": [new_id(), ours]})
    others = await town.node(new_id(), {"access": [new_id()]})
    assert town.order() == [listed]
    assert others not in dict(town.fleet.ruled_out(town.wants()))
    # What is taken from the list is taken at once.
    await town.register(listed, tenant=owner, access=[new_id()])
    await until(lambda: town.order() == [])
    everybodys = await town.node(new_id(), {"access": ["*"]})
    assert town.order() == [everybodys]


async def test_a_drained_node_is_left_out_from_the_moment_the_directory_says_so(town: Town) -> None:
    node = await town.node()
    await town.register(node, schedulable=False)
    await until(lambda: town.order() == [])
    assert town.why_not(node) == "draining"
    await town.register(node)
    await until(lambda: town.order() == [node])


async def test_a_node_that_was_taken_out_is_forgotten(town: Town) -> None:
    node = await town.node()
    directory.publish(town.client, "nodes", {node: None})
    await until(lambda: town.order() == [])
    assert town.fleet.states(town.tenant) == []
    assert town.why_not(node) is None


async def test_a_version_that_left_the_node_is_no_longer_found_there(town: Town) -> None:
    node = await town.node(models=[ModelState(v, "m", "loaded", "llamacpp") for v in (VERSION, OTHER)])
    assert town.order() == town.order(version=OTHER) == [node]
    await town.say(node, models=[ModelState(OTHER, "m", "loaded", "llamacpp")])
    assert town.order() == []
    assert town.order(version=OTHER) == [node]


async def test_reasons_come_from_profile_breaker_and_what_was_tried(town: Town) -> None:
    node = await town.node(None, {"region": "eu", "labels": {"gpu": "l4"}})
    assert town.why_not(node, profile=Profile(regions=("us",))) == "region"
    assert town.why_not(node, profile=Profile(labels={"gpu": "h200"})) == "label"
    assert town.why_not(node, profile=Profile(num_ctx=4096, outside="route"), num_ctx=8192) == "context"
    assert town.why_not(node, without=[node]) == "tried"
    assert town.fleet.route(town.wants(), without=[node]) == []
    town.broken.add((node, VERSION))
    assert town.why_not(node) == "breaker"
    assert town.order() == []


async def test_a_node_that_would_have_to_load_is_left_out_while_another_has_the_model(town: Town) -> None:
    ready = await town.node()
    disk = await town.node(models=[ModelState(VERSION, "m", "ready", "llamacpp", size=10**9)])
    assert town.order() == [ready]
    assert town.why_not(disk) == "load"
    town.fleet.given(ready, 4)
    assert {each.node for each in town.fleet.route(town.wants(), waiting=20)} == {ready, disk}


async def test_a_node_without_the_memory_is_ruled_out(town: Town) -> None:
    node = await town.node(models=[ModelState(VERSION, "m", "ready", "llamacpp", size=10**11)])
    assert town.why_not(node) == "memory"


async def test_a_silent_node_is_gone(town: Town) -> None:
    node = await town.node()
    town.fleet._seen[node] -= 10
    town.fleet._trusted_until[node] -= 10
    assert town.order() == []
    assert town.why_not(node) == "silent"


async def test_a_suspected_node_gets_nothing_new_keeps_what_it_runs_and_is_waited_for(town: Town) -> None:
    node = await town.node()
    town.fleet._trusted_until[node] = 0.0
    wanted = Wanted(town.tenant, VERSION)
    assert town.fleet.is_suspected(node)
    assert town.fleet.alive(node)
    assert town.fleet.route(wanted) == []
    assert town.fleet.may_be_served(wanted), "it may be back in a moment"
    await town.say(node)
    assert [each.node for each in town.fleet.route(wanted)] == [node]


async def test_what_we_gave_a_node_counts_at_once(town: Town) -> None:
    one, two = await town.node(), await town.node()
    wish = {"prefixes": prefixes(CHAT)}
    first = town.order(**wish)[0]
    town.fleet.given(first, 1)
    assert town.order(**wish)[0] == ({one, two} - {first}).pop()
    town.fleet.given(first, -1)
    assert town.order(**wish)[0] == first


async def test_requests_of_other_gateways_are_added_to_ours(town: Town) -> None:
    node = await town.node()
    town.fleet.given(node, 1)
    await town.say(node, running=3)
    assert town.fleet.route(town.wants())[0].parts["room"] == 0.25
    town.fleet.given(node, -1)
    assert town.fleet.route(town.wants())[0].parts["room"] == 0.5


async def test_the_node_that_measured_faster_is_preferred(town: Town) -> None:
    slow, fast = await town.node(), await town.node()
    for node, speed in ((slow, 10), (fast, 100)):
        town.fleet.observe(
            node, VERSION, first_token_ms=150.0, prompt_tokens=100, prompt_ms=50.0, completion_tokens=speed, eval_ms=1000.0
        )  # fmt: skip
    best = town.fleet.route(town.wants(prompt_tokens=100))[0]
    assert (best.node, best.reason) == (fast, "fastest")
    assert best.parts["first_token_ms"] == 150.0
    assert round(best.parts["generation_ms"]) == 550, "the mean answer has 55 tokens, and nothing runs beside it"


async def test_loading_is_measured_and_not_taken_for_slowness(town: Town) -> None:
    node = await town.node(models=[ModelState(VERSION, "m", "ready", "llamacpp", size=10**9)])
    town.fleet.observe(node, VERSION, first_token_ms=9100.0, load_ms=9000.0, completion_tokens=10, eval_ms=100.0)
    parts = town.fleet.route(town.wants())[0].parts
    assert (parts["load_ms"], parts["first_token_ms"]) == (9000.0, 100.0)


async def test_a_conversation_returns_to_its_node(town: Town) -> None:
    for _ in range(4):
        await town.node()
    wanted = town.wants(prefixes=prefixes(CHAT), prompt_tokens=1000)
    away = town.fleet.route(wanted)[-1].node
    town.fleet.remember(wanted, away)
    best = town.fleet.route(wanted)[0]
    assert (best.node, best.reason, best.parts["prefix"]) == (away, "prefix", 1.0)
    other = town.wants(prefixes=prefixes(Inference("completion", prompt="else")), prompt_tokens=1000)
    assert town.fleet.route(other)[0].parts["prefix"] == 0.0


async def test_turns_are_taken_by_version(town: Town) -> None:
    nodes = sorted([await town.node() for _ in range(3)])
    turns = [town.order(profile=Profile(strategy="round_robin"))[0] for _ in range(6)]
    assert turns == nodes * 2
    assert town.order(version=OTHER) == []


async def test_what_nodes_said_before_we_listened_is_known(town: Town) -> None:
    node = await town.node()
    url, background = os.environ["REDIS_URL"], Background()
    client = connect.connect_async(url)
    late = Fleet(url, client, town.directory, NodeAllowances(), background)
    await late.start()
    assert [each.node for each in late.route(town.wants())] == [node]
    await background.stop()
    await client.aclose()


async def test_what_another_tenants_node_counts_changes_no_expectation_of_ours(town: Town) -> None:
    stranger = new_id()
    own, theirs = await town.node(), await town.node(stranger)
    usual = town.fleet.answer_tokens(town.tenant, VERSION)
    town.fleet.observe(theirs, VERSION, first_token_ms=1.0, completion_tokens=1 << 24, eval_ms=1.0)
    assert town.fleet.answer_tokens(town.tenant, VERSION) == usual
    assert town.fleet.answer_tokens(stranger, VERSION) > usual
    town.fleet.observe(own, VERSION, first_token_ms=1.0, completion_tokens=7, eval_ms=1.0)
    assert town.fleet.answer_tokens(town.tenant, VERSION) == 7


async def test_a_shared_nodes_counts_are_what_everybody_expects_of_it(town: Town) -> None:
    shared = await town.node(new_id(), registered={"shared": True})
    town.fleet.observe(shared, VERSION, first_token_ms=1.0, completion_tokens=9, eval_ms=1.0)
    assert town.fleet.answer_tokens(town.tenant, VERSION) == 9
