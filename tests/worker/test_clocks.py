"""A node whose clock is wrong runs what others give it, and says by how much it is wrong."""

from __future__ import annotations

import pytest

from cluster.engines.build import EngineChoice
from ollamamax import contract
from tests.patience import wait_for
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway


@pytest.mark.parametrize("ahead", [700.0, -700.0])
def test_a_request_has_the_time_that_it_has_left(make_stub: MakeStub, make_node: MakeNode, ahead: float) -> None:
    node = make_node(EngineChoice("openai", make_stub(token_ms=50, tokens=400).url, slots=2), ahead=ahead)
    node.wait_ready()
    gateway = Gateway(node)
    got = gateway.wait(gateway.run(left=60.0, max_tokens=3))
    assert isinstance(got.end, contract.Final)
    started = got.events[0]
    assert isinstance(started, contract.Started)
    assert 0 <= started.ago < 1, "which no clock tells"
    end = gateway.wait(gateway.run(left=0.5)).end
    assert isinstance(end, contract.Failure)
    assert end.code == "deadline_exceeded"
    skew = wait_for(lambda: (state := node.state()) and state.clock_skew_seconds)
    assert skew == pytest.approx(ahead, abs=2)
