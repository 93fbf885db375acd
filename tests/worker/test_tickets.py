"""A ticket goes in, numbered frames come out: the node's main path, on real Valkey, Celery and HTTP."""

from __future__ import annotations

from cluster import wire
from ollamamax.bus import keys
from tests.worker.node import Gateway, Node, wait_for


def test_a_ticket_comes_back_as_numbered_events(stub_node: Node, gateway: Gateway) -> None:
    ticket = gateway.run(max_tokens=5)
    got = gateway.wait(ticket)
    assert isinstance(got.events[0], wire.Started)
    assert got.text == "t0 t1 t2 t3 t4 "
    assert got.tokens == 5
    assert isinstance(got.end, wire.Final)
    assert (got.end.prompt_tokens, got.end.completion_tokens, got.end.finish_reason) == (7, 5, "stop")
    assert (got.gaps, got.doubles) == (0, 0)
    wait_for(lambda: stub_node.redis.llen(keys.node_claimed(stub_node.id)) == 0)
    [(_, done)] = stub_node.redis.xrange(keys.node_done(stub_node.id))
    assert done[b"t"].decode() == ticket.id
    assert b'"completion_tokens":5' in done[b"r"]


def test_fifty_tickets_at_once_lose_nothing(stub_node: Node, gateway: Gateway) -> None:
    tickets = [gateway.run(max_tokens=100) for _ in range(50)]
    expected = "".join(f"t{n} " for n in range(100))
    for ticket in tickets:
        got = gateway.wait(ticket)
        assert got.text == expected
        assert got.tokens == 100
        assert (got.gaps, got.doubles) == (0, 0)
