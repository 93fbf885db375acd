"""A gateway with files and batches on a real port, Postgres, Valkey, fake nodes, and runners in this process or their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
import redis
import uvicorn
from channels.db import database_sync_to_async
from django.db import connection

from cluster.dispatch.admission import Bounds
from cluster.dispatch.settle_dead_gateways import settle_lost
from ollamamax.batches.models import Answer, Batch, File
from ollamamax.batches.protocol.files import Files
from ollamamax.batches.protocol.routes import Routes
from ollamamax.batches.runner.runner import BatchRunner
from ollamamax.blobs.disk import in_folder
from ollamamax.bus import directory, keys, publication, regions
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.contract.tables import KEYS
from ollamamax.gateway.app import Gateway
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end
from ollamamax.responses.protocol.keeper import Keeper
from ollamamax.responses.protocol.routes import routes as response_routes
from tests import cast
from tests.cast import Key, Person
from tests.directories import publish_empty
from tests.fakes.node import FakeNode, Script, echo
from tests.gateway.conftest import VERSION, QuietServer, gateway_of, publish_model, started, stop_gateway
from tests.patience import LONG, until
from tests.servers import free_port

MOST_FILE_BYTES = 200_000
MOST_TENANT_BYTES = 1_000_000
MOST_LINES = 300


@dataclass
class House:
    """One tenant with a key and a model `echo:latest`, another tenant, and what a test adds."""

    url: str
    home: Path
    redis_url: str
    valkey: redis.Redis
    gateway: Gateway
    owner: Person
    key: Key
    stranger_key: Key
    stack: contextlib.AsyncExitStack
    nodes: list[FakeNode] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def client(self, key: Key | None = None) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=(key or self.key).text, max_retries=0)

    async def add_node(self, script: Script = echo, capacity: int = 4) -> FakeNode:
        tenant = self.owner.tenant.id.hex
        node = FakeNode(self.redis_url, new_id(), tenant, VERSION, script=script, capacity=capacity)
        entry = {"tenant": tenant, "name": f"node-{len(self.nodes)}", "schedulable": True}
        directory.publish(self.valkey, "nodes", {node.node: json.dumps(entry).encode()})
        await self.stack.enter_async_context(node)
        self.nodes.append(node)
        return node

    async def add_runner(self, concurrency: int = 4) -> BatchRunner:
        """A runner in this process, stopped after the test."""
        gateway = gateway_of(self.redis_url, max_body=50_000, bounds=Bounds(20, 10))
        runner = BatchRunner(
            gateway,
            in_folder(self.home / "files"),
            await self.stack.enter_async_context(WorkCalls(self.redis_url)),
            concurrency=concurrency,
            most_bytes=50_000,
            most_lines=MOST_LINES,
        )
        task = asyncio.create_task(runner.run())

        async def stop() -> None:
            runner.stop()
            await task
            await gateway.directory.stop()

        self.stack.push_async_callback(stop)
        return runner

    def start_process(self, **environ: str) -> subprocess.Popen[bytes]:
        """``ollamamax batches``, as it is started anywhere."""
        database = connection.settings_dict
        url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
        process = subprocess.Popen(
            [sys.executable, "-m", "ollamamax.cli", "batches"],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
                "DATABASE_URL": url,
                "REDIS_URL": self.redis_url,
                "OLLAMAMAX_HOME": str(self.home),
                "OLLAMAMAX_BATCH_CONCURRENCY": "4",
                **environ,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    async def upload(self, lines: list[Any], key: Key | None = None) -> str:
        made = await self.client(key).files.create(file=("input.jsonl", jsonl(lines)), purpose="batch")
        return made.id

    async def order(self, lines: list[Any], endpoint: str = "/v1/chat/completions", **more: Any) -> str:
        file = await self.upload(lines)
        more = {"completion_window": "24h"} | more
        made = await self.client().batches.create(input_file_id=file, endpoint=endpoint, **more)  # type: ignore[arg-type]
        assert made.status == "validating"
        return made.id

    async def batch(self, name: str) -> Any:
        return await self.client().batches.retrieve(name)

    async def ended(self, name: str, seconds: float = 2 * LONG) -> Any:
        """The batch, once it has ended."""
        async with asyncio.timeout(seconds):
            while (found := await self.batch(name)).status not in {"completed", "failed", "expired", "cancelled"}:
                await asyncio.sleep(0.05)
        return found

    async def lines(self, file: str | None) -> list[dict[str, Any]]:
        if file is None:
            return []
        content = await self.client().files.content(file)
        return [json.loads(line) for line in content.text.splitlines()]

    def usage(self) -> list[dict[str, Any]]:
        return [json.loads(fields[b"r"]) for _, fields in self.valkey.xrange(keys.USAGE)]


def jsonl(lines: list[Any]) -> bytes:
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def chat(number: int, text: str | None = None, **changes: Any) -> dict[str, Any]:
    body = {"model": "echo", "messages": [{"role": "user", "content": text or f"line {number}"}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body} | changes


def text_of(line: dict[str, Any]) -> str:
    return str(line["response"]["body"]["choices"][0]["message"]["content"])


async def rows(call: Callable[[], Any]) -> Any:
    """What a query of a test finds, of every tenant."""

    def ask() -> Any:
        with every_tenant():
            return call()

    return await database_sync_to_async(ask, thread_sensitive=False)()


def counts() -> tuple[int, int, int]:
    return File.objects.count(), Batch.objects.count(), Answer.objects.count()


async def _settle_lost(valkey: redis.Redis) -> None:
    """The controller's loop, which gives back the slots of what was killed."""
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(redis.RedisError):
            await asyncio.to_thread(settle_lost, valkey)


@pytest.fixture
def people(transactional_db: None) -> tuple[Person, Key, Key]:
    owner = cast.make_person(cast.make_tenant("acme"), "owner", "owner")
    stranger = cast.make_person(cast.make_tenant("strangers"), "stranger", "owner")
    return owner, cast.make_key(owner, permissions=None), cast.make_key(stranger, permissions=None)


@pytest_asyncio.fixture
async def house(
    people: tuple[Person, Key, Key], valkey: redis.Redis, redis_url: str, tmp_path: Path
) -> AsyncIterator[House]:
    owner, key, stranger_key = people
    publish_empty(valkey, but=("keys",))
    await database_sync_to_async(publication.repair, thread_sensitive=False)(regions.Region("", redis_url), "keys")
    publish_model(valkey, owner.tenant.id.hex)
    routes = Routes(Files(in_folder(tmp_path / "files"), MOST_FILE_BYTES, MOST_TENANT_BYTES))
    gateway = gateway_of(
        redis_url,
        max_body=50_000,
        bounds=Bounds(20, 10),
        more_routes=lambda method, path: routes(method, path) or response_routes(method, path),
        keeping=Keeper(days=30, deadline=30, most_body=50_000, most_bytes=MOST_TENANT_BYTES),
    )
    port = free_port()
    server = QuietServer(
        uvicorn.Config(gateway, host="127.0.0.1", port=port, lifespan="off", log_config=None, access_log=False)
    )
    async with contextlib.AsyncExitStack() as stack:
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        service = await started(gateway)
        await until(lambda: len(service.directory.items(KEYS)) >= 2)
        settling = asyncio.create_task(_settle_lost(valkey))
        made = House(f"http://127.0.0.1:{port}", tmp_path, redis_url, valkey, gateway, owner, key, stranger_key, stack)
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                process.wait()
            await stack.aclose()
            await end([settling])
            server.should_exit = True
            await serving
            await stop_gateway(gateway)
