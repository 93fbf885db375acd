"""The drain's lease: one Celery message a busy spell, no ticket left lying, two drains at once harmless."""

from __future__ import annotations

import time
from typing import Any

from cluster.engines.build import EngineChoice
from cluster.worker.inbox import IDLE_SECONDS, evicted
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.log_lines import GATHER_SECONDS
from tests.patience import BUSY, LONG, wait_for
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway, Node


def lease(node: Node) -> bytes | None:
    found: bytes | None = node.redis.get(keys.node_drain(node.id))
    return found


def received(node: Node) -> int:
    events = [line.get("event", "") for line in node.log_lines()]
    return sum(event.startswith("Task cluster.drain_inbox") and event.endswith("received") for event in events)


def test_one_message_serves_a_busy_spell(stub_node: Node, gateway: Gateway) -> None:
    wait_for(lambda: lease(stub_node) is None, what="no drain")
    before = received(stub_node)
    for _ in range(5):
        gateway.wait(gateway.run())
    wait_for(lambda: received(stub_node) > before, what="the line of the message's receipt")
    time.sleep(2 * GATHER_SECONDS)
    assert received(stub_node) == before + 1


def test_the_lease_is_given_up_when_nothing_comes(stub_node: Node, gateway: Gateway) -> None:
    gateway.wait(gateway.run())
    assert lease(stub_node) is not None
    wait_for(lambda: lease(stub_node) is None, what="the lease's end")
    # The next ticket needs a message again, and gets one.
    assert isinstance(gateway.wait(gateway.run()).end, contract.Final)


def test_a_node_that_worked_a_moment_ago_is_awake(make_node: MakeNode, make_stub: MakeStub) -> None:
    node = make_node(EngineChoice("openai", make_stub().url), awake=60)
    node.wait_ready()
    gateway = Gateway(node)
    gateway.wait(gateway.run())
    held = wait_for(lambda: (found := lease(node)) != b"test" and found, what="the lease, held by the node itself")
    time.sleep(2 * IDLE_SECONDS + 0.5)
    assert lease(node) == held
    assert isinstance(gateway.wait(gateway.run()).end, contract.Final)
    time.sleep(2 * GATHER_SECONDS)
    assert received(node) == 1


def test_the_lease_is_kept_while_a_ticket_runs(make_node: MakeNode, make_stub: MakeStub) -> None:
    node = make_node(EngineChoice("openai", make_stub(token_ms=25, tokens=200).url), awake=0)
    node.wait_ready()
    gateway = Gateway(node)
    ticket = gateway.run()
    gateway.until(lambda: ticket.id in gateway.got and gateway.got[ticket.id].tokens > 2)
    until = time.monotonic() + 2 * IDLE_SECONDS + 0.5
    while time.monotonic() < until:
        assert lease(node) is not None
        time.sleep(0.05)
    assert isinstance(gateway.wait(ticket).end, contract.Final)


def test_a_ticket_at_any_moment_is_taken(stub_node: Node, gateway: Gateway) -> None:
    """Tickets that come just when the lease is given up: at 0.9 to 1.1 s after the last one."""
    for pause in (0.9, 0.96, 0.98, 1.0, 1.01, 1.02, 1.04, 1.1):
        gateway.wait(gateway.run())
        time.sleep(pause)
    started = time.monotonic()
    gateway.wait(gateway.run())
    assert time.monotonic() - started < 1.0 + BUSY


def test_two_drains_at_once_run_each_ticket_once(stub_node: Node, gateway: Gateway) -> None:
    for _ in range(3):
        stub_node.send("cluster.drain_inbox")
    tickets = [gateway.run(max_tokens=20) for _ in range(20)]
    for ticket in tickets:
        got = gateway.wait(ticket)
        assert got.tokens == 20
        assert got.doubles == 0
    done: Any = stub_node.redis.xrange(keys.node_done(stub_node.id))
    ids = [fields[b"t"].decode() for _, fields in done]
    assert all(ids.count(ticket.id) == 1 for ticket in tickets)


def test_tickets_whose_message_was_lost_are_found(stub_node: Node, gateway: Gateway) -> None:
    ticket = gateway.ticket()
    stub_node.redis.rpush(keys.node_inbox(stub_node.id), contract.encode_ticket(ticket))
    assert isinstance(gateway.wait(ticket, LONG).end, contract.Final)


def test_at_the_end_of_a_drain_what_runs_ends_and_is_told_why(make_node: MakeNode, make_stub: MakeStub) -> None:
    stub = make_stub(token_ms=20, tokens=5000)
    node = make_node(EngineChoice("openai", stub.url, slots=4))
    node.wait_ready()
    gateway = Gateway(node)
    running = [gateway.run() for _ in range(3)]
    gateway.until(lambda: all(each.id in gateway.got and gateway.got[each.id].tokens > 2 for each in running))
    assert node.control(contract.Control("evict", "")) == 1
    for each in running:
        end = gateway.wait(each).end
        assert end is not None
        assert (end.code, end.status) == (evicted().code, evicted().status)  # type: ignore[union-attr]
        assert end.completion_tokens > 2, "what came before was counted"
    wait_for(lambda: stub.seen()["running"] == 0, what="an engine that does nothing any more")
    # It is told so every second while it has places taken: nothing is there to end, and nothing breaks.
    assert node.control(contract.Control("evict", "")) == 1
    assert isinstance(gateway.wait(gateway.run(max_tokens=3)).end, contract.Final)
