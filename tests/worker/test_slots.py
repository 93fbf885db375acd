"""A node runs as many requests at once as its engine's server says, and looks again: the server may be started anew with more."""

from __future__ import annotations

import urllib.request

import pytest

from cluster.engines.build import EngineChoice
from cluster.engines.openai import version_of
from ollamamax import contract
from tests.patience import wait_for
from tests.worker.conftest import MakeNode, MakeStub, Stub
from tests.worker.node import Gateway, Node


def tell(stub: Stub, slots: int) -> None:
    asked = urllib.request.Request(f"{stub.url}/props", data=str(slots).encode(), method="PUT")
    urllib.request.urlopen(asked).close()


def state(node: Node) -> contract.NodeState:
    found = node.state()
    assert found is not None
    return found


def test_slots_follow_the_server_while_requests_wait(make_node: MakeNode, make_stub: MakeStub) -> None:
    stub = make_stub(owned_by="llamacpp", token_ms=100, tokens=100)
    node = make_node(EngineChoice("openai", stub.url), awake=30.0)
    told = node.wait_ready()
    wait_for(lambda: state(node).capacity == 2, what="the server's slots")
    assert [model.slots for model in told.models if model.version == version_of("stub")] == [2]
    gateway = Gateway(node)
    node.wake()
    tickets = [gateway.run(version=version_of("stub")) for _ in range(4)]
    wait_for(lambda: (state(node).running, state(node).waiting) == (2, 2), what="two that run and two that wait")
    tell(stub, 3)
    wait_for(lambda: (state(node).capacity, state(node).running) == (3, 3), what="a third one that runs")
    assert [model.slots for model in state(node).models] == [3]
    # Fewer: what runs goes on.
    tell(stub, 1)
    wait_for(lambda: state(node).capacity == 1, what="fewer slots")
    assert state(node).running == 3
    for ticket in tickets:
        node.control(contract.Control("cancel", ticket.id, gateway.id))
    gateway.pubsub.close()


@pytest.mark.parametrize(("owner", "capacity", "told"), [("llamacpp", 5, 2), ("vllm", 5, None)])
def test_what_the_operator_chose_stands_and_an_engine_that_tells_nothing_says_so(
    make_node: MakeNode, make_stub: MakeStub, owner: str, capacity: int, told: int | None
) -> None:
    node = make_node(EngineChoice("openai", make_stub(owned_by=owner).url, slots=5))
    ready = node.wait_ready()
    assert ready.capacity == capacity
    assert [model.slots for model in ready.models] == [told]
