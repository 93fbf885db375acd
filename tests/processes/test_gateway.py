"""`ollamamax gateway`: inference in a process of its own, on every server, without the database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from ollamamax.contract import Delta, Event, Final, Ticket
from tests.gateway.conftest import Site, site
from tests.patience import LONG, until
from tests.servers import free_port

__all__ = ["site"]

SERVERS = ("uvicorn", "daphne")
ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
KEPT = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH")


@contextlib.asynccontextmanager
async def gateway(site: Site, folder: Path, server: str, port: int, **more: str) -> AsyncIterator[Process]:
    """Without DATABASE_URL and OLLAMAMAX_SECRET_KEY."""
    environ = {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "REDIS_URL": site.redis_url,
        "OLLAMAMAX_GATEWAY_PORT": str(port),
        "OLLAMAMAX_ASGI_SERVER": server,
        "OLLAMAMAX_LEAVE_SECONDS": "1",
        **more,
    }
    log = folder / f"{port}.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ollamamax.cli", "gateway", env=environ, stdout=out, stderr=out
        )
    try:
        async with asyncio.timeout(LONG):
            while not await _answers(site, port):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(LONG):
            await process.wait()


async def _answers(site: Site, port: int) -> bool:
    try:
        async with site.http.get(f"http://127.0.0.1:{port}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _listens(process: Process) -> bool:
    return any(each.status == psutil.CONN_LISTEN for each in psutil.Process(process.pid).net_connections())


def _post(site: Site, port: int, body: dict[str, Any], path: str = "/api/chat") -> Any:
    headers = {"Authorization": f"Bearer {site.key}"}
    return site.http.post(f"http://127.0.0.1:{port}{path}", json=body, headers=headers)


@pytest.mark.parametrize("server", SERVERS)
async def test_it_serves_inference_and_nothing_else(site: Site, tmp_path: Path, server: str) -> None:
    await site.add_node()
    port = free_port()
    async with gateway(site, tmp_path, server, port):
        async with _post(site, port, {**ASK, "stream": False}) as response:
            assert (await response.json())["message"]["content"] == "one two three"
        async with _post(site, port, {**ASK, "stream": True}, "/v1/chat/completions") as response:
            assert "[DONE]" in await response.text()
        async with site.http.get(f"http://127.0.0.1:{port}/") as response:
            assert await response.text() == "Ollama is running"
        async with site.http.get(f"http://127.0.0.1:{port}/api/v1/nodes") as response:
            assert response.status == 404


@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_leaves_stops_the_node(site: Site, tmp_path: Path, server: str) -> None:
    async def endless(ticket: Ticket) -> AsyncIterator[Event]:
        while True:
            yield Delta(text="x", tokens=1)
            await asyncio.sleep(0.01)

    node = await site.add_node(script=endless)
    port = free_port()
    async with gateway(site, tmp_path, server, port):
        async with _post(site, port, ASK) as response:
            await response.content.readany()
            response.close()
        await until(lambda: any(control.verb == "cancel" for control in node.controls))
        await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["error"] == "client_gone"


async def test_streams_go_on_to_their_end_when_it_is_told_to_stop(site: Site, tmp_path: Path) -> None:
    async def takes_a_while(ticket: Ticket) -> AsyncIterator[Event]:
        for number in range(20):
            yield Delta(text=f"{number} ", tokens=1)
            await asyncio.sleep(0.05)
        yield Final("stop", prompt_tokens=1, completion_tokens=20)

    await site.add_node(script=takes_a_while)
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port) as process:
        async with _post(site, port, {**ASK, "stream": True}, "/v1/chat/completions") as response:
            await response.content.readany()
            process.send_signal(signal.SIGTERM)
            text = await response.text()
        async with asyncio.timeout(LONG):
            await process.wait()
    assert "[DONE]" in text
    assert '"19 "' in text
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["outcome"] == "ok"


async def test_a_client_that_does_not_read_is_seen_to_be_slow(site: Site, tmp_path: Path) -> None:
    """So the server does not keep for it what it has not read."""
    part = "x" * 50_000

    async def much(ticket: Ticket) -> AsyncIterator[Event]:
        for _ in range(300):
            yield Delta(text=part, tokens=1)
        yield Final("stop", prompt_tokens=1, completion_tokens=300)

    node = await site.add_node(script=much)
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port), _post(site, port, ASK):
        await until(lambda: any(control.verb == "pause" for control in node.controls))


async def test_two_share_a_port(site: Site, tmp_path: Path) -> None:
    await site.add_node()
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port) as one, gateway(site, tmp_path, "uvicorn", port) as other:
        # The first one's answer would do for both.
        await until(lambda: all(_listens(each) for each in (one, other)))
        for _ in range(20):
            async with _post(site, port, {**ASK, "stream": False}) as response:
                assert response.status == 200
        one.terminate()
        await one.wait()
        async with _post(site, port, {**ASK, "stream": False}) as response:
            assert response.status == 200


async def test_without_a_port_it_says_what_to_set(site: Site) -> None:
    environ = {name: os.environ[name] for name in KEPT if name in os.environ} | {"REDIS_URL": site.redis_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ollamamax.cli", "gateway", env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"Set OLLAMAMAX_GATEWAY_PORT" in said
