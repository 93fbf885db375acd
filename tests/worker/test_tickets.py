"""A ticket goes in, numbered frames come out: the node's main path, on real Valkey, Celery and HTTP."""

from __future__ import annotations

import time

import pytest

from cluster.engines.build import EngineChoice
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.kernel.ids import new_id
from tests.patience import BUSY, LONG, wait_for
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway, Node


def test_a_ticket_comes_back_as_numbered_events(stub_node: Node, gateway: Gateway) -> None:
    ticket = gateway.run(max_tokens=5)
    got = gateway.wait(ticket)
    assert isinstance(got.events[0], contract.Started)
    assert got.text == "t0 t1 t2 t3 t4 "
    assert got.tokens == 5
    assert isinstance(got.end, contract.Final)
    assert (got.end.prompt_tokens, got.end.completion_tokens, got.end.finish_reason) == (7, 5, "stop")
    assert (got.gaps, got.doubles) == (0, 0)
    wait_for(lambda: stub_node.redis.llen(keys.node_claimed(stub_node.id)) == 0)
    assert stub_node.done()[ticket.id] == {
        "outcome": "ok",
        "finish": "stop",
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "cached_tokens": None,  # the engine says nothing of it
    }


def test_fifty_tickets_at_once_lose_nothing(stub_node: Node, gateway: Gateway) -> None:
    tickets = [gateway.run(max_tokens=100) for _ in range(50)]
    expected = "".join(f"t{n} " for n in range(100))
    for ticket in tickets:
        got = gateway.wait(ticket)
        assert got.text == expected
        assert got.tokens == 100
        assert (got.gaps, got.doubles) == (0, 0)
    assert {ticket.id for ticket in tickets} <= set(stub_node.done())


def test_no_more_run_at_once_than_there_are_slots(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=10)
    node = make_node(EngineChoice("openai", stub.url, slots=2))
    node.wait_ready()
    gateway = Gateway(node)
    tickets = [gateway.run() for _ in range(6)]
    most = 0
    while any(gateway.got.get(t.id) is None or gateway.got[t.id].end is None for t in tickets):
        most = max(most, stub.seen()["running"])
        gateway.read(0.02)
    assert most == 2


def test_what_was_lost_on_the_way_is_sent_again(stub_node: Node) -> None:
    seen: set[int] = set()

    def drop_once(frame: contract.Frame) -> bool:
        """Lose the first frame of everything that is not the end."""
        new = frame.seq not in seen
        seen.add(frame.seq)
        return new and not isinstance(frame.events[-1], contract.Final)

    gateway = Gateway(stub_node, drop=drop_once)
    ticket = gateway.run(max_tokens=2000)
    got = gateway.wait(ticket)
    assert got.gaps >= 1
    assert got.text == "".join(f"t{n} " for n in range(2000))
    # A minute long the whole of it can be had again.
    gateway.got.clear()
    stub_node.control(contract.Control("resend", ticket.id, gateway.id, 0))
    assert gateway.wait(ticket).text == got.text


def test_a_cancel_stops_the_engine_at_once(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=1000)
    node = make_node(EngineChoice("openai", stub.url, slots=4))
    node.wait_ready()
    gateway = Gateway(node)
    ticket = gateway.run()
    gateway.until(lambda: ticket.id in gateway.got and gateway.got[ticket.id].tokens > 2)
    node.control(contract.Control("cancel", ticket.id))
    got = gateway.wait(ticket, 1.0)
    assert isinstance(got.end, contract.Failure)
    assert (got.end.code, got.end.status) == ("cancelled", 499)
    assert got.end.completion_tokens == got.tokens
    wait_for(lambda: stub.seen()["running"] == 0, 1.0 + BUSY, "the engine's end")
    assert node.done()[ticket.id]["outcome"] == "cancelled"


def test_a_cancel_reaches_a_ticket_that_waits(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=100)
    node = make_node(EngineChoice("openai", stub.url, slots=1))
    node.wait_ready()
    gateway = Gateway(node)
    first, second, third = gateway.run(), gateway.run(), gateway.run()
    gateway.until(lambda: first.id in gateway.got)
    node.control(contract.Control("cancel", second.id))
    end = gateway.wait(second, 1.0).end
    assert isinstance(end, contract.Failure)
    assert end.code == "cancelled"
    assert gateway.got[first.id].end is None
    assert isinstance(gateway.wait(third).end, contract.Final)


def test_a_cancel_may_come_before_its_ticket(stub_node: Node, gateway: Gateway) -> None:
    ticket = gateway.ticket()
    wait_for(lambda: stub_node.control(contract.Control("cancel", ticket.id)), what="a listener")
    time.sleep(0.1)
    stub_node.push(ticket)
    end = gateway.wait(ticket).end
    assert isinstance(end, contract.Failure)
    assert end.code == "cancelled"


def test_a_ticket_whose_time_is_over_is_not_run(stub_node: Node, gateway: Gateway) -> None:
    end = gateway.wait(gateway.run(deadline=-1.0)).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status) == ("deadline_exceeded", 504)


def test_a_ticket_whose_time_runs_out_is_stopped(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=1000)
    node = make_node(EngineChoice("openai", stub.url, slots=4))
    node.wait_ready()
    gateway = Gateway(node)
    end = gateway.wait(gateway.run(deadline=0.6), 3).end
    assert isinstance(end, contract.Failure)
    assert end.code == "deadline_exceeded"
    wait_for(lambda: stub.seen()["running"] == 0, 1.0 + BUSY, "the engine's end")


def test_the_engines_refusal_reaches_the_caller(stub_node: Node, gateway: Gateway) -> None:
    end = gateway.wait(gateway.run(model="nothing")).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status, end.param) == ("model_not_found", 404, "model")
    end = gateway.wait(gateway.run(top_k=5)).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status, end.param) == ("unsupported", 400, "top_k")


def test_the_trace_reaches_the_engine(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub()
    node = make_node(EngineChoice("openai", stub.url))
    node.wait_ready()
    gateway = Gateway(node)
    ticket = gateway.run()
    gateway.wait(ticket)
    assert stub.seen()["traceparents"] == [ticket.traceparent]
    [line] = wait_for(lambda: [line for line in node.log_lines() if line.get("event") == "run_ended"])
    assert line["ticket"] == ticket.id
    assert line["trace"] == ticket.traceparent.split("-")[1]
    assert "Say hello" not in node.log.read_text()


def test_an_unreadable_ticket_harms_no_other(stub_node: Node, gateway: Gateway) -> None:
    stub_node.redis.rpush(keys.node_inbox(stub_node.id), b"\xc1nonsense")
    ticket = gateway.run()
    assert isinstance(gateway.wait(ticket).end, contract.Final)
    wait_for(lambda: stub_node.redis.llen(keys.node_claimed(stub_node.id)) == 0)


def test_loading_without_a_message(stub_node: Node, gateway: Gateway) -> None:
    ticket = gateway.ticket()
    ticket.inference.messages = []
    stub_node.push(ticket)
    end = gateway.wait(ticket).end
    assert isinstance(end, contract.Final)
    assert end.finish_reason == "load"


def test_an_engine_does_not_refuse_what_is_left_out_for_other_tenants(stub_node: Node, gateway: Gateway) -> None:
    for tenant, refused in ((stub_node.identity.tenant, True), (new_id(), False)):
        ticket = gateway.ticket(max_tokens=2)
        ticket.tenant, ticket.inference.keep_alive = tenant, 0
        stub_node.push(ticket)
        got = gateway.wait(ticket)
        assert isinstance(got.events[0], contract.Started)
        assert got.events[0].keep_alive_ignored is not refused
        if refused:
            assert isinstance(got.end, contract.Failure)
            assert (got.end.code, got.end.param) == ("unsupported", "keep_alive")
        else:
            assert got.text == "t0 t1 "


def test_embeddings_come_with_the_end(stub_node: Node, gateway: Gateway) -> None:
    ticket = gateway.ticket()
    ticket.inference = contract.Inference("embed", inputs=["one", "three"])
    stub_node.push(ticket)
    end = gateway.wait(ticket).end
    assert isinstance(end, contract.Final)
    assert end.embeddings == [[3.0, 1.0], [5.0, 1.0]]


def test_work_for_a_gateway_that_is_gone_is_stopped(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=5000)
    node = make_node(EngineChoice("openai", stub.url, slots=4))
    node.wait_ready()
    gateway = Gateway(node)
    ticket = gateway.run()
    gateway.until(lambda: ticket.id in gateway.got)
    gateway.pubsub.close()
    wait_for(lambda: stub.seen()["running"] == 0, LONG, "the engine's end")
    wait_for(lambda: ticket.id in node.done(), what="done")
    assert node.done()[ticket.id]["finish"] == "gateway_lost"


def test_a_django_named_by_the_hosts_environment_is_left_alone(
    make_stub: MakeStub, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "somebody.elses.settings")
    node = make_node(EngineChoice("openai", make_stub().url, slots=8))
    node.wait_ready()
    gateway = Gateway(node)
    assert isinstance(gateway.wait(gateway.run(max_tokens=1)).end, contract.Final)
