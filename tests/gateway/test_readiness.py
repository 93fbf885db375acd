"""`/readyz` of a gateway tells the truth, and a gateway that knows nothing yet refuses nobody for good."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import redis

from cluster.dispatch.admission import Bounds
from ollamamax.bus import background, directory, link
from ollamamax.embedded.valkey import TemporaryValkey
from ollamamax.gateway import app
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.standalone import Standalone
from ollamamax.identity.keys import make_key
from ollamamax.kernel.ids import new_id
from tests.directories import publish_empty
from tests.gateway.conftest import Site, gateway_of, stop_gateway
from tests.patience import LONG, until
from tests.servers import free_port


def made(url: str) -> Gateway:
    return gateway_of(url, bounds=Bounds(waiting=4, waiting_of_tenant=2))


class Asked:
    """What an application answered, without a server between."""

    def __init__(self, gateway: Gateway) -> None:
        self._application = Standalone(gateway)

    async def get(self, path: str, key: str = "") -> tuple[int, dict[str, str], Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
        await self._application(scope, receive, send)
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(each.get("body", b"") for each in sent[1:])
        return sent[0]["status"], told, msgspec.json.decode(body)


@pytest_asyncio.fixture
async def gateway(redis_url: str, valkey: redis.Redis) -> AsyncIterator[Gateway]:
    """One whose Redis holds nothing yet."""
    started = made(redis_url)
    yield started
    await stop_gateway(started)


async def test_before_the_directory_was_published_good_keys_are_told_to_wait(
    gateway: Gateway, valkey: redis.Redis
) -> None:
    asked, key = Asked(gateway), make_key("key")
    status, headers, body = await asked.get("/readyz")
    assert (status, body["status"]) == (503, "unavailable")
    assert "keys" in body["parts"]["directory"]
    for path in ("/v1/models", "/api/tags"):
        status, headers, body = await asked.get(path, key.text)
        assert status == 503, "not 401: nobody told this process of any key"
        assert int(headers["retry-after"]) > 0
        assert body["error"]
    entry = {"hash": key.secret_hash, "kind": "key", "id": new_id(), "tenant": new_id(), "name": "k"}
    entry["permissions"] = ["inference.use"]  # type: ignore[assignment]
    directory.reconcile(valkey, "keys", lambda: {key.identifier: msgspec.json.encode(entry)})
    assert (await asked.get("/v1/models", key.text))[0] == 200
    assert (await asked.get("/v1/models", make_key("key").text))[0] == 401
    assert (await asked.get("/readyz"))[0] == 503, "what models there are is not known yet"
    publish_empty(valkey, but=("keys",))
    service = await gateway.start()
    await until(lambda: not service.directory.problems())
    assert (await asked.get("/readyz"))[0] == 200


async def test_a_gateway_without_redis_says_so_and_begins_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_START_PATIENCE", 0.3)
    port = free_port()
    gateway = made(f"redis://127.0.0.1:{port}/0")
    asked = Asked(gateway)
    status, _, body = await asked.get("/readyz")
    assert (status, list(body["parts"])) == (503, ["gateway"])
    assert (await asked.get("/v1/models", make_key("key").text))[0] == 503
    server = TemporaryValkey(tmp_path / "valkey", port)
    try:
        with redis.Redis.from_url(server.url) as client:
            publish_empty(client)
        async with asyncio.timeout(LONG):
            while (await asked.get("/readyz"))[0] != 200:
                await asyncio.sleep(0.05)
        await stop_gateway(gateway)
    finally:
        server.stop()


async def test_a_part_that_dies_makes_the_process_unready_until_it_lives_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "GRACE", 0.1)
    asked = Asked(site.gateway)
    assert (await asked.get("/readyz"))[0] == 200
    parts = (await site.gateway.start()).dispatcher.background
    broken = True

    async def work() -> None:
        if broken:
            raise RecursionError
        await asyncio.Event().wait()

    parts.run("test", work, pause=0.01)
    await until(lambda: bool(parts.problems()))
    status, _, body = await asked.get("/readyz")
    assert (status, body["parts"]) == (503, {"test": "It failed: RecursionError."})
    broken = False
    await until(lambda: not parts.problems())
    assert (await asked.get("/readyz"))[0] == 200


class Proxy:
    """Between a gateway and Redis; after `freeze` it passes no byte of the connections it has, and closes none."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._frozen: set[asyncio.Task[None]] = set()
        self._all: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = free_port()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.freeze()
        for writer in self._writers:
            writer.close()

    def freeze(self) -> int:
        """How many connections it had."""
        tasks, self._all = self._all, set()
        for task in tasks:
            task.cancel()
        return len(tasks) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, to_there]
        for source, sink in ((reader, to_there), (there, writer)):
            self._all.add(asyncio.create_task(self._pass(source, sink)))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()


async def test_a_gateway_whose_connections_go_half_open_hears_its_nodes_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.3)
    port = int(os.environ["REDIS_URL"].rpartition(":")[2].partition("/")[0])
    async with Proxy(port) as proxy:
        gateway = made(f"redis://127.0.0.1:{proxy.port}/0")
        service = await gateway.start()
        node = await site.add_node()
        fleet = service.dispatcher.fleet
        await until(lambda: fleet.alive(node.node))
        assert proxy.freeze() >= 3
        before = fleet.seen(node.node)
        await until(lambda: fleet.seen(node.node) > before)
        await stop_gateway(gateway)
