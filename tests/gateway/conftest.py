"""A gateway on a real port and a real Valkey, with nodes that speak the wire."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest_asyncio
import redis
import uvicorn

from cluster.dispatch.admission import Bounds
from ollamamax.bus import directory, keys
from ollamamax.bus.connect import connect
from ollamamax.bus.directory import Directory
from ollamamax.contract import decode_usage
from ollamamax.contract.tables import ALL, MODELS, NODES
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.service import Service
from ollamamax.gateway.standalone import Standalone
from ollamamax.identity.keys import make_key
from ollamamax.kernel.errors import Unavailable
from ollamamax.kernel.ids import new_id
from ollamamax.processes.uvicorn_http import Http
from tests.directories import publish_empty
from tests.fakes.node import FakeNode, Script, echo
from tests.patience import LONG, until
from tests.servers import free_port

VERSION = "sha256:" + "ab" * 32


@dataclass
class Site:
    """One gateway, one tenant with a key and a model `echo:latest`, and whatever nodes a test adds."""

    url: str
    redis_url: str
    client: redis.Redis
    gateway: Gateway
    tenant: str
    key: str
    http: aiohttp.ClientSession
    stack: contextlib.AsyncExitStack
    nodes: list[FakeNode] = field(default_factory=list)

    async def issue_key(self, tenant: str, **changes: Any) -> str:
        made = make_key()
        entry = {
            "hash": made.secret_hash,
            "kind": "key",
            "id": new_id(),
            "tenant": tenant,
            "name": "test",
            "permissions": ["inference.use"],
            **changes,
        }
        directory.publish(self.client, "keys", {made.identifier: msgspec.json.encode(entry)})
        return made.text

    async def add_node(
        self, *, script: Script = echo, capacity: int = 4, tenant: str | None = None, **registered: Any
    ) -> FakeNode:
        owner = tenant or self.tenant
        node = FakeNode(self.redis_url, new_id(), owner, VERSION, script=script, capacity=capacity)
        entry = {"tenant": owner, "name": f"node-{len(self.nodes)}", "schedulable": True, **registered}
        directory.publish(self.client, "nodes", {node.node: msgspec.json.encode(entry)})
        await self.stack.enter_async_context(node)
        self.nodes.append(node)
        service = await self.gateway.start()
        await until(
            lambda: service.directory.get(NODES, node.node) is not None and service.dispatcher.fleet.alive(node.node)
        )
        return node

    def post(self, path: str, body: Any, key: str | None = None, **kwargs: Any) -> Any:
        headers = {"Authorization": f"Bearer {key or self.key}", **kwargs.pop("headers", {})}
        return self.http.post(self.url + path, json=body, headers=headers, **kwargs)

    def get(self, path: str, key: str | None = None, **kwargs: Any) -> Any:
        return self.http.get(self.url + path, headers={"Authorization": f"Bearer {key or self.key}"}, **kwargs)

    def publish_for(self, tenant: str) -> None:
        """The same model under the same name, of another tenant."""
        publish_model(self.client, tenant)

    def usage(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(decode_usage(fields[b"r"])) for _, fields in self.client.xrange(keys.USAGE)]


def publish_model(client: redis.Redis, tenant: str, name: str = "echo:latest", **more: Any) -> None:
    entry = {
        "version": VERSION,
        "size": 1234,
        "modified_at": 1_700_000_000.0,
        "details": {"format": "gguf", "family": "llama", "parameter_size": "1B", "quantization_level": "Q4_1"},
        **more,
    }
    directory.publish(client, "models", {f"{tenant}/{name}": msgspec.json.encode(entry)})


def gateway_of(redis_url: str, **given: Any) -> Gateway:
    """A gateway with a directory of its own, as a process makes it; `stop_gateway` ends both."""
    settings: dict[str, Any] = {"max_body": 100_000, "deadline": 120, "bounds": BOUNDS} | given
    return Gateway(Directory(redis_url, ALL), redis_url, **settings)


async def started(gateway: Gateway) -> Service:
    """What it serves with, when it has started: on a busy machine that takes longer than a request waits for it."""
    async with asyncio.timeout(LONG):
        while True:
            with contextlib.suppress(Unavailable):
                return await gateway.start()


async def stop_gateway(gateway: Gateway) -> None:
    await gateway.stop()
    await gateway.directory.stop()


BOUNDS = Bounds(waiting=4, waiting_of_tenant=2, bytes=150_000, bytes_of_tenant=70_000)


class QuietServer(uvicorn.Server):
    """Leaves the signals of the test run alone."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def listening(application: Any, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(
        application, host="127.0.0.1", port=port, http=Http, lifespan="off", log_config=None, access_log=False
    )
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    async with site_at(os.environ["REDIS_URL"]) as made:
        yield made


@contextlib.asynccontextmanager
async def site_at(redis_url: str) -> AsyncIterator[Site]:
    client = connect(redis_url)
    client.flushall()
    tenant = new_id()
    publish_empty(client)
    publish_model(client, tenant)
    gateway = gateway_of(redis_url)
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await stack.enter_async_context(listening(Standalone(gateway), port))
        made = Site(f"http://127.0.0.1:{port}", redis_url, client, gateway, tenant, "", http, stack)
        made.key = await made.issue_key(tenant)
        service = await started(gateway)
        await until(lambda: len(service.directory.items(MODELS)) == 1)
        yield made
        await http.close()
    await stop_gateway(gateway)
    client.close()


@pytest_asyncio.fixture
async def stranger(site: Site) -> str:
    """A good key of another tenant."""
    return await site.issue_key(new_id())
