"""The web process on a real port, with a controller beside it, for Ollama's own client."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
import redis
import uvicorn
from django.db import connections
from pytest_django import Settings

import ollamamax.celery  # noqa: F401 - tasks are sent by this application
from cluster.actions.join_token import issue_join_token
from cluster.actions.node import join_node
from cluster.engines.build import EngineChoice
from cluster.reconcile import observe_nodes
from cluster.worker.identity import Identity
from models_registry.actions.replica import reconcile_replicas
from models_registry.jobs.kinds import KINDS
from models_registry.jobs.runner import JobRunner
from ollamamax.asgi import Web
from tests.cast import Key, Person
from tests.directories import publish_empty
from tests.gateway.conftest import QuietServer
from tests.patience import LONG, wait_for
from tests.registry.conftest import gguf, write_gguf
from tests.servers import free_port
from tests.worker.node import Node

__all__ = ["gguf", "write_gguf"]


class Controller:
    """The loops of the controller, in a thread."""

    def __init__(self) -> None:
        self.runner = JobRunner(KINDS)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._end.wait(0.1):
                self.runner.start_waiting()
                observe_nodes()
                reconcile_replicas()
        finally:
            connections.close_all()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(20)
        self.runner.stop()


class Served:
    """The web process, and clients of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ollama(self, key: Key) -> ollama.Client:
        return ollama.Client(self.url, headers={"Authorization": f"Bearer {key.text}"}, timeout=180)

    def http(self, key: Key) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key.text}"}, timeout=180)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, settings: Settings) -> None:
    settings.HOME = tmp_path / "home"


@pytest.fixture
def served(transactional_db: None, valkey: redis.Redis, _home: None) -> Iterator[Served]:
    publish_empty(valkey)
    port = free_port()
    config = uvicorn.Config(Web(), host="127.0.0.1", port=port, lifespan="on", log_config=None, access_log=False)
    server = QuietServer(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield Served(f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def controller(served: Served) -> Iterator[Controller]:
    made = Controller()
    yield made
    made.stop()


@pytest.fixture
def client(served: Served, controller: Controller, owner_key: Key) -> ollama.Client:
    """The unmodified client of Ollama, with the owner's key."""
    made = served.ollama(owner_key)
    knows(lambda: made.list())
    return made


def knows(call: Callable[[], Any]) -> Any:
    """The answer, once the gateway has heard of the key."""
    end = time.monotonic() + LONG
    while True:
        try:
            return call()
        except ollama.ResponseError as error:
            if error.status_code != 401 or time.monotonic() > end:
                raise
            time.sleep(0.05)


MakeNode = Callable[[EngineChoice], Node]


@pytest.fixture
def make_node(served: Served, owner: Person, tmp_path: Path, redis_url: str) -> Iterator[MakeNode]:
    """Real nodes of the owner's tenant."""
    nodes: list[Node] = []

    def make(engine: EngineChoice) -> Node:
        nodes.append(_join(served, owner, tmp_path / f"node{len(nodes)}", redis_url, engine))
        return nodes[-1]

    yield make
    for each in nodes:
        each.end()


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A real node with llama.cpp."""
    return make_node(EngineChoice("llamacpp", slots=2, context=2048))


def _join(served: Served, owner: Person, home: Path, redis_url: str, engine: EngineChoice) -> Node:
    token = issue_join_token(acting=owner.acting, max_uses=1, lifetime=datetime.timedelta(hours=1))[1]
    joined = join_node(token=token, name=home.name, engine=engine.kind, agent_version="1")
    place = redis_url.split("://", 1)[1]
    identity = Identity(
        node=joined.node.id.hex,
        name=home.name,
        tenant=owner.tenant.id.hex,
        secret=joined.secret,
        redis_url=f"redis://node.{joined.node.id.hex}:{joined.redis_password}@{place.rsplit('@', 1)[-1]}",
        url=served.url,
        engine=engine,
    )
    home.mkdir()
    made = Node(identity, home, redis_url, "--grace=1")
    made.wait_ready()
    return made
