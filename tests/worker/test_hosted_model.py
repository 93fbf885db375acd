"""A node fetches the real model from a control plane, runs it with llama.cpp, and leaves nothing behind."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import ANY

import psutil
import pytest

from cluster.engines.build import EngineChoice
from models_registry.manifest import digest_of, hosted
from ollamamax import contract
from ollamamax.kernel.ids import new_id
from tests import smollm
from tests.fakes.control_plane import ControlPlane
from tests.patience import LONG, wait_for
from tests.worker.conftest import MakeNode
from tests.worker.node import Gateway, Got, Node


def publish(control: ControlPlane) -> dict[str, Any]:
    """The arguments of ``models_registry.fetch_version`` for the bundled model."""
    data = smollm.path().read_bytes()
    manifest = hosted("smollm2:135m", {"context_length": 8192}, control.add(data), len(data))
    return {
        "version": digest_of(manifest),
        "name": "smollm2:135m",
        "manifest": manifest,
        "base_url": control.url,
    }


def model(node: Node) -> contract.ModelState | None:
    state = node.state()
    return state.models[0] if state and state.models else None


def model_is(node: Node, *states: str) -> bool:
    found = model(node)
    return found is not None and found.state in states


def children(node: Node) -> list[psutil.Process]:
    return psutil.Process(node.process.pid).children()


@pytest.fixture
def node(control: ControlPlane, make_node: MakeNode) -> Node:
    control.secret = ""
    node = make_node(EngineChoice("llamacpp", slots=2, context=2048), control=control.url)
    control.secret = node.identity.secret
    node.wait_ready()
    return node


def test_a_hosted_model_from_fetch_to_unload(control: ControlPlane, node: Node) -> None:
    order = publish(control)
    node.send("models_registry.fetch_version", **order)
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: model_is(node, "ready"), LONG, "the model on the disk")
    assert control.ranges == [""], "two orders, one download"

    gateway = Gateway(node)
    ticket = gateway.run("Say hello.", version=order["version"], max_tokens=12, seed=1)
    got = gateway.wait(ticket, LONG)
    assert isinstance(got.end, contract.Final), got
    assert isinstance(got.events[0], contract.Started)
    assert not got.events[0].loaded
    assert got.end.load_ms > 0
    assert got.tokens == got.end.completion_tokens
    assert got.end.prompt_tokens > 10
    wait_for(lambda: model_is(node, "loaded"), what="loaded in the node's state")

    # The client goes away: the slot is idle within a second.
    ticket = gateway.ticket("Count to a thousand.", version=order["version"], max_tokens=1500)
    ticket.inference.format = {"type": "array", "items": {"type": "integer"}, "minItems": 500}
    node.push(ticket)
    gateway.until(lambda: ticket.id in gateway.got and gateway.got[ticket.id].tokens > 5)
    node.control(contract.Control("cancel", ticket.id, gateway.id))
    end = gateway.wait(ticket, 1.0).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status) == ("cancelled", 499)
    assert end.completion_tokens == gateway.got[ticket.id].tokens
    assert end.prompt_tokens > 10

    # An unload order frees the memory, and a request loads it again.
    assert len(children(node)) == 1
    node.send("cluster.unload_model", order["version"])
    wait_for(lambda: model_is(node, "ready"), what="unloaded")
    assert children(node) == []
    node.send("cluster.load_model", order["version"])
    wait_for(lambda: model_is(node, "loaded"), what="loaded again")

    # A profile's context is had by whoever asks first; from then on nobody has it loaded again.
    started: list[tuple[bool, int | None]] = []
    for num_ctx in (None, 512):
        ticket = gateway.ticket("Hi", version=order["version"], max_tokens=1, num_ctx=num_ctx)
        ticket.load = contract.Load(num_ctx=1024)
        node.push(ticket)
        first, *_ = gateway.wait(ticket, LONG).events
        assert isinstance(first, contract.Started)
        started.append((first.loaded, first.context))
    assert started == [(True, 2048), (True, 1024)]

    # SIGKILL of the node ends its llama.cpp too.
    [child] = children(node)
    boot = node.state().boot  # type: ignore[union-attr]
    node.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's end")

    # After a start the model is there without another download.
    node.restart()
    node.wait_ready(boot)
    wait_for(lambda: model_is(node, "ready"), what="ready again")
    assert control.ranges == [""]

    node.send("models_registry.remove_version", order["version"])
    wait_for(lambda: model(node) is None, what="removed")
    assert list((node.home / "blobs").iterdir()) == []
    assert node.stop() == 0


def test_another_tenants_keep_alive_neither_evicts_nor_pins(control: ControlPlane, node: Node) -> None:
    order = publish(control)
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: model_is(node, "ready"), LONG, "the model on the disk")
    gateway = Gateway(node)
    other = new_id()

    def say(tenant: str, keep_alive: float | None, *, empty: bool = False) -> Got:
        ticket = gateway.ticket("Hi", version=order["version"], max_tokens=1)
        ticket.tenant, ticket.inference.keep_alive = tenant, keep_alive
        if empty:
            ticket.inference.messages = []
        node.push(ticket)
        return gateway.wait(ticket, LONG)

    def expires_in() -> float | None:
        """As the node says from now on: its next word may still be of before."""
        seq = node.state().seq  # type: ignore[union-attr]
        wait_for(lambda: node.state().seq > seq + 2, what="the node's next words")  # type: ignore[union-attr]
        found = model(node)
        assert found is not None
        assert found.state == "loaded"
        return None if found.expires_at is None else found.expires_at - time.time()

    for keep_alive in (0.0, -1.0, 3600.0):
        got = say(other, keep_alive)
        first, end = got.events[0], got.end
        assert isinstance(first, contract.Started)
        assert isinstance(end, contract.Final)
        assert first.keep_alive_ignored
        assert end.keep_alive_ignored
        left = expires_in()
        assert left is not None
        assert 280 < left <= 300
    [child] = children(node)

    # What only unloads is not for this node.
    end = say(other, 0.0, empty=True).end
    assert isinstance(end, contract.Failure)
    assert end.code == "model_not_found"

    # Its own tenant pins it, and another does not undo that; its own unloads it after a request.
    assert say(node.identity.tenant, -1.0).events[0] == contract.Started(
        ANY, keep_alive_ignored=False, context=ANY, ago=ANY
    )
    say(other, 0.0)
    assert expires_in() is None
    assert children(node) == [child]
    say(node.identity.tenant, 0.0)
    wait_for(lambda: model_is(node, "ready"), what="unloaded")
    assert children(node) == []


def test_a_fetch_that_fails_says_why_and_can_be_asked_again(control: ControlPlane, node: Node) -> None:
    order = publish(control)
    blobs, control.blobs = control.blobs, {}
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: model_is(node, "failed"), what="failed")
    assert model(node).error == "The control plane does not have this blob."  # type: ignore[union-attr]
    control.blobs = blobs
    control.break_after = 40_000_000
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: model_is(node, "fetching", "ready"))
    wait_for(lambda: model_is(node, "ready"), LONG)


def test_a_download_goes_on_after_the_node_was_killed(control: ControlPlane, node: Node) -> None:
    order = publish(control)
    control.break_after = 30_000_000
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: len(control.ranges) >= 2, what="a part of the download")
    boot = node.state().boot  # type: ignore[union-attr]
    node.kill()
    control.break_after = None
    node.restart()
    node.wait_ready(boot)
    wait_for(lambda: model_is(node, "ready"), LONG)
    assert control.ranges[-1].startswith("bytes=")


def test_a_manifest_of_another_version_is_refused(control: ControlPlane, node: Node) -> None:
    order = publish(control) | {"version": "sha256:" + "1" * 64}
    node.send("models_registry.fetch_version", **order)
    wait_for(lambda: model_is(node, "failed"))
    assert "its digest is not the version's" in (model(node).error or "")  # type: ignore[union-attr]


def test_a_ticket_for_a_version_that_is_not_here_fails_clearly(node: Node) -> None:
    gateway = Gateway(node)
    end = gateway.wait(gateway.run()).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status) == ("model_not_found", 404)
