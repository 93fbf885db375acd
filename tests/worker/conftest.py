"""Nodes, stub engines and gateways for the worker's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from cluster.engines.build import EngineChoice
from cluster.scheduling.silence import FLOOR
from tests.fakes.control_plane import ControlPlane
from tests.patience import LONG, wait_for
from tests.servers import free_port
from tests.worker.node import ROOT, Gateway, Node, make_identity

MakeNode = Callable[..., Node]
MakeStub = Callable[..., "Stub"]


class Stub:
    """The stub engine as a process."""

    def __init__(self, **pace: float | str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = [f"--{name.replace('_', '-')}={value}" for name, value in pace.items()]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.stub_engine", f"--port={self.port}", *options], cwd=ROOT
        )
        wait_for(lambda: self._answers(), what="the stub engine")

    def _answers(self) -> bool:
        import socket

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def seen(self) -> dict[str, Any]:
        import urllib.request

        import msgspec

        with urllib.request.urlopen(f"{self.url}/stub") as response:
            return msgspec.json.decode(response.read(), type=dict[str, Any])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(LONG)


@pytest.fixture
def redis_url() -> str:
    return os.environ["REDIS_URL"]


@pytest.fixture
def admin(redis_url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def make_stub() -> Iterator[MakeStub]:
    stubs: list[Stub] = []

    def make(**pace: float | str) -> Stub:
        stubs.append(Stub(**pace))
        return stubs[-1]

    yield make
    for stub in stubs:
        stub.stop()


@pytest.fixture
def make_node(tmp_path: Path, redis_url: str) -> Iterator[MakeNode]:
    nodes: list[Node] = []

    def make(
        engine: EngineChoice,
        *,
        url: str = redis_url,
        control: str = "http://127.0.0.1:1",
        grace: float = 1.0,
        awake: float = 0.0,
        silence: float = FLOOR,
        ahead: float = 0.0,
        more: tuple[str, ...] = (),
    ) -> Node:
        home = tmp_path / f"node{len(nodes)}"
        home.mkdir()
        options = (f"--grace={grace}", f"--awake={awake}", f"--silence={silence}", *more)
        nodes.append(Node(make_identity(url, engine, control), home, url, *options, ahead=ahead))
        return nodes[-1]

    yield make
    for node in nodes:
        node.end()


@pytest.fixture
def control() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def stub_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose engine answers at once, shared by a file's tests."""
    stub = Stub()
    url = os.environ["REDIS_URL"]
    choice = EngineChoice("openai", stub.url, slots=8)
    node = Node(make_identity(url, choice), tmp_path_factory.mktemp("node"), url, "--awake=0")
    node.wait_ready()
    yield node
    node.end()
    stub.stop()


@pytest.fixture
def gateway(stub_node: Node) -> Iterator[Gateway]:
    made = Gateway(stub_node)
    yield made
    made.pubsub.close()
