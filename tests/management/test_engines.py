"""Models that the nodes' own Ollama keeps are pulled, made and deleted there, on every node that is concerned."""

from __future__ import annotations

from collections.abc import Iterator

import ollama
import pytest

from cluster.engines.build import EngineChoice
from tests import smollm
from tests.cast import Key
from tests.fakes.ollama_server import OllamaServer
from tests.management.conftest import MakeNode, Served
from tests.patience import wait_for
from tests.worker.node import Node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def servers() -> Iterator[list[OllamaServer]]:
    made = [OllamaServer(smollm.path(), name="kept:1") for _ in range(2)]
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def nodes(servers: list[OllamaServer], make_node: MakeNode) -> list[Node]:
    return [make_node(EngineChoice("ollama", url=server.url)) for server in servers]


def names(client: ollama.Client) -> set[str]:
    return {model.model or "" for model in client.list().models}


def test_every_ollama_pulls_makes_and_deletes(
    client: ollama.Client, servers: list[OllamaServer], nodes: list[Node]
) -> None:
    wait_for(lambda: names(client) == {"kept:1"})
    for server in servers:
        server.registry["new:1"] = 1000
        server.pull_pause = 0.7
    told = list(client.pull("new:1", stream=True))
    assert [(each.total, each.completed) for each in told if each.digest][-1] == (2000, 2000)
    assert told[-1].status == "success"
    assert names(client) == {"kept:1", "new:1"}
    assert client.chat("kept:1", [{"role": "user", "content": "Hi"}], options={"num_predict": 2}).eval_count == 2

    client.create("made:1", from_="new:1", system="x", parameters={"temperature": 0})
    for server in servers:
        [body] = [body for path, body, _ in server.requests if path == "/api/create"]
        assert (body["model"], body["from"], body["system"]) == ("made:1", "new:1", "x")
    assert "made:1" in names(client)

    # A second name here is no second copy there; the last name takes the model off the nodes.
    client.copy("new:1", "alias")
    client.delete("new:1")
    assert all("new:1" in server.models for server in servers)
    client.delete("alias")
    assert all(set(server.models) == {"kept:1", "made:1"} for server in servers)
    assert names(client) == {"kept:1", "made:1"}


def test_a_node_that_fails_is_named(client: ollama.Client, servers: list[OllamaServer], nodes: list[Node]) -> None:
    wait_for(lambda: names(client) == {"kept:1"})
    servers[0].registry["half:1"] = 10
    with pytest.raises(ollama.ResponseError, match=r"1 of 2 nodes failed\. node1: .*file does not exist"):
        client.pull("half:1")
    with pytest.raises(ollama.ResponseError, match="cannot do 'adapters' from here"):
        client.create("x", from_="kept:1", adapters={"a": "sha256:" + "0" * 64})
    with pytest.raises(ollama.ResponseError, match="kept by the ollama engine of a node: it cannot be pushed"):
        client.push("kept:1")


def test_a_cancelled_order_ends_at_the_nodes(
    client: ollama.Client, servers: list[OllamaServer], nodes: list[Node], served: Served, owner_key: Key
) -> None:
    wait_for(lambda: names(client) == {"kept:1"})
    for server in servers:
        server.registry["slow:1"] = 1000
        server.pull_pause = 3.0
    with served.http(owner_key) as http, http.stream("POST", "/api/pull", json={"model": "slow:1"}) as told:
        lines = told.iter_lines()
        next(lines)
        http.delete(f"/api/v1/jobs/{http.get('/api/v1/jobs').json()['results'][0]['id']}")
        assert "cancelled" in list(lines)[-1]
    wait_for(lambda: all("order_ended" in node.log.read_text() for node in nodes), what="the end at the nodes")
    assert all("slow:1" not in server.models for server in servers)
