"""Two real nodes have a version of each other: over TLS with certificates of the installation, within what the terms allow."""

from __future__ import annotations

import os

from cluster.engines.build import EngineChoice
from models_registry.manifest import digest_of, hosted
from ollamamax import contract
from tests.fakes.control_plane import ControlPlane
from tests.patience import LONG, wait_for
from tests.servers import free_port
from tests.worker.conftest import MakeNode
from tests.worker.node import Node

DATA = os.urandom((5 << 20) + 777)


def has(node: Node) -> contract.ModelState | None:
    state = node.state()
    return next((model for model in state.models if model.state == "ready"), None) if state else None


def test_the_second_node_has_it_of_the_first_and_the_control_plane_gives_it_once(
    control: ControlPlane, make_node: MakeNode
) -> None:
    control.piece, control.rate, control.region_rate = 1 << 20, 1 << 30, 1 << 30
    ports = [free_port(), free_port()]
    nodes = [
        make_node(
            EngineChoice("llamacpp"), control=control.url, more=("--peer-address=127.0.0.1", f"--peer-port={port}")
        )
        for port in ports
    ]
    control.secrets = {node.identity.secret: node.id for node in nodes}
    wait_for(
        lambda: all((state := node.state()) is not None and state.peer is not None for node in nodes), 40, "they listen"
    )
    manifest = hosted("m:1", {}, control.add(DATA), len(DATA))
    first, second = nodes
    order = {"version": digest_of(manifest), "name": "m:1", "manifest": manifest, "base_url": control.url}
    first.send("models_registry.fetch_version", **order)
    wait_for(lambda: has(first), LONG, "the first has it")
    control.ports = {node.id: port for node, port in zip(nodes, ports, strict=True)}
    control.whole = {first.id}
    given = len(control.ranges)
    assert sum(control.leaves) >= len(DATA)
    second.send("models_registry.fetch_version", **order)
    wait_for(lambda: has(second), LONG, "the second has it")
    assert len(control.ranges) == given, "the control plane gave none of it again"
    assert sum(control.leaves) >= 2 * len(DATA), "leave was asked for what came of the other node, too"
