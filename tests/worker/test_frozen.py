"""An engine that is stopped in the middle of an answer: it lives, and makes no progress."""

from __future__ import annotations

import os
import signal

from cluster.engines.build import EngineChoice
from ollamamax import contract
from tests.fakes.control_plane import ControlPlane
from tests.patience import LONG, wait_for
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway
from tests.worker.test_hosted_model import children, model_is, publish

SILENCE = 1.0


def test_an_engine_of_others_is_left_alone_until_it_answers(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=5000)
    node = make_node(EngineChoice("openai", stub.url, slots=4), silence=SILENCE)
    node.wait_ready()
    version = wait_for(lambda: (state := node.state()) and state.models and state.models[0].version)
    gateway = Gateway(node)
    running = [gateway.run(version=version) for _ in range(2)]
    gateway.until(lambda: all(each.id in gateway.got and gateway.got[each.id].tokens > 2 for each in running))
    os.kill(stub.process.pid, signal.SIGSTOP)
    try:
        for each in running:
            end = gateway.wait(each, LONG).end
            assert isinstance(end, contract.Failure)
            assert (end.code, end.status) == ("engine_hung", 504)
            assert end.completion_tokens > 2, "what came before was counted"
        hung = wait_for(lambda: (s := node.state()) is not None and not s.engines[0].healthy and s.engines[0])
        assert isinstance(hung, contract.Engine)
        assert "no token for" in (hung.error or "")
        assert hung.quarantined == [version]
        refused = gateway.wait(gateway.run(version=version), LONG).end
        assert isinstance(refused, contract.Failure)
        assert refused.code == "unavailable"
    finally:
        os.kill(stub.process.pid, signal.SIGCONT)
    wait_for(lambda: (s := node.state()) is not None and s.engines[0].healthy, LONG, "a probe's answer")
    assert isinstance(gateway.wait(gateway.run(version=version, max_tokens=3), LONG).end, contract.Final)


def test_an_engine_that_is_slow_and_goes_on_is_left_in_peace(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(first_token_ms=1500, token_ms=600, tokens=6)
    node = make_node(EngineChoice("openai", stub.url, slots=2), silence=SILENCE)
    node.wait_ready()
    gateway = Gateway(node)
    assert isinstance(gateway.wait(gateway.run(), LONG).end, contract.Final)


def test_an_engine_that_the_node_started_is_started_again(control: ControlPlane, make_node: MakeNode) -> None:
    control.secret = ""
    node = make_node(EngineChoice("llamacpp", slots=2, context=2048), control=control.url, silence=SILENCE)
    control.secret = node.identity.secret
    node.wait_ready()
    order = publish(control)
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: model_is(node, "ready"), LONG, "the model on the disk")
    gateway = Gateway(node)
    ticket = gateway.run("Tell me a long story.", version=order["version"], max_tokens=1500, temperature=0)
    gateway.until(lambda: ticket.id in gateway.got and gateway.got[ticket.id].tokens > 5, LONG)
    (child,) = children(node)
    child.suspend()
    end = gateway.wait(ticket, LONG).end
    assert isinstance(end, contract.Failure)
    assert end.code == "engine_hung"
    hung = wait_for(lambda: (s := node.state()) is not None and not s.engines[0].healthy and s.engines[0])
    assert isinstance(hung, contract.Engine)
    assert "no token for" in (hung.error or "")
    wait_for(lambda: not child.is_running(), LONG, "the end of the stopped process")
    assert isinstance(gateway.wait(gateway.run(version=order["version"], max_tokens=3), LONG).end, contract.Final)
    wait_for(lambda: (s := node.state()) is not None and s.engines[0].healthy)
    assert [each.pid for each in children(node)] != [child.pid]
