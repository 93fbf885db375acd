"""SufferedFaults of chaos experiments on a real node: only those its host allows, each once, and nothing stays stopped whoever dies."""

from __future__ import annotations

import psutil
import pytest
import redis

from cluster.engines.build import EngineChoice
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.contract.experiment import FaultOrder, NodeFault
from tests.patience import wait_for
from tests.worker.conftest import MakeNode, MakeStub, Stub
from tests.worker.node import Gateway, Node


def order(node: Node, id_: str, fault: NodeFault, seconds: float = 60.0, **more: float) -> None:
    """Stands for as long as nobody takes it back, as while a controller renews it."""
    node.redis.set(keys.node_fault(node.id), contract.encode_json(FaultOrder(id_, fault, seconds, **more)))


def told(node: Node) -> tuple[str, str]:
    fault = (state := node.state()) and state.fault
    return (fault.id, fault.state) if fault else ("", "")


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@pytest.fixture
def site(make_stub: MakeStub, make_node: MakeNode) -> tuple[Node, Stub]:
    stub = make_stub()
    allowed = ("engine_freeze", "agent_freeze", "agent_kill", "slow_answers")
    node = make_node(EngineChoice("openai", stub.url, slots=4), more=tuple(f"--allow-fault={each}" for each in allowed))
    assert node.wait_ready().faults == sorted(allowed)
    return node, stub


def test_an_engine_that_is_frozen_goes_on_when_the_order_is_gone_when_its_time_is_over_and_when_the_agent_dies(
    site: tuple[Node, Stub],
) -> None:
    node, stub = site
    pid = stub.process.pid
    order(node, "r.1", "engine_freeze")
    wait_for(lambda: is_stopped(pid) and told(node) == ("r.1", "on"), what="the stopped engine")
    node.redis.delete(keys.node_fault(node.id))
    wait_for(lambda: not is_stopped(pid) and told(node) == ("r.1", "over"), what="it goes on without the order")
    order(node, "r.2", "engine_freeze", seconds=0.5)
    wait_for(lambda: told(node) == ("r.2", "over") and not is_stopped(pid), what="it goes on after its time")
    order(node, "r.3", "engine_freeze")
    wait_for(lambda: is_stopped(pid), what="the stopped engine")
    boot = state.boot if (state := node.state()) is not None else ""
    node.kill()
    wait_for(lambda: not is_stopped(pid), what="it goes on without the agent")
    node.restart()
    assert (fault := node.wait_ready(boot_other_than=boot).fault) is not None
    assert (fault.id, fault.state, is_stopped(pid)) == ("r.3", "over", False), "an order is obeyed once"


def test_an_agent_that_is_frozen_goes_on_by_itself_and_one_that_is_killed_does_not_die_again(
    site: tuple[Node, Stub], admin: redis.Redis
) -> None:
    node, _ = site
    order(node, "r.1", "agent_freeze", seconds=1.0)
    wait_for(lambda: is_stopped(node.process.pid), what="the stopped agent")
    wait_for(lambda: told(node) == ("r.1", "over"), what="its return")
    order(node, "r.2", "agent_kill")
    wait_for(lambda: node.process.poll() is not None, what="its death")
    node.restart()
    wait_for(lambda: told(node) == ("r.2", "over"), what="a life with the order still there")
    assert node.process.poll() is None


def test_answers_come_later_while_it_is_ordered_and_what_the_host_does_not_allow_is_refused(
    site: tuple[Node, Stub],
) -> None:
    node, stub = site
    gateway = Gateway(node)
    order(node, "r.1", "slow_answers", milliseconds=60_000.0)
    wait_for(lambda: told(node) == ("r.1", "on"), what="the slowness")
    ticket = gateway.run(max_tokens=2)
    wait_for(
        lambda: stub.seen()["running"] == 0 and (s := node.state()) is not None and s.running == 1,
        what="an answer that waits",
    )
    node.control(contract.Control("cancel", ticket.id))
    order(node, "r.2", "engine_kill")
    wait_for(lambda: told(node) == ("r.2", "refused"), what="the refusal")
    state = node.state()
    assert state is not None
    assert state.fault is not None
    assert "does not allow" in state.fault.why
    assert stub.process.poll() is None
    assert isinstance(gateway.wait(gateway.run(max_tokens=2)).end, contract.Final), "and it is slow no more"
