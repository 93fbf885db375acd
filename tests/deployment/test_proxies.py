"""The examples for nginx and Caddy, run by Debian's programs: streams are not gathered, WebSockets pass, large bodies do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web as served

from tests.architecture.code import ROOT
from tests.patience import LONG
from tests.programs import program
from tests.servers import free_port

PROXIES = ROOT / "ops" / "proxies"
NAME = "ai.example"
LARGE = 100 << 20


@dataclass
class Behind:
    """What stands behind the proxy: two ports, each of which says which one it is, and what came."""

    web: int
    gateway: int
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def stream(self, request: served.Request) -> served.StreamResponse:
        self.headers.append(dict(request.headers))
        answer = served.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: first\n\n")
        # The second only leaves when the client has the first.
        async with asyncio.timeout(LONG):
            await self.seen.wait()
        await answer.write(b"data: second\n\n")
        return answer

    async def upload(self, request: served.Request) -> served.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return served.json_response({"size": size})

    async def socket(self, request: served.Request) -> served.WebSocketResponse:
        answer = served.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            await answer.send_str(f"{request.headers['origin']} {message.data}")
        return answer

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        runners = []
        for port, which in ((self.web, "web"), (self.gateway, "gateway")):
            application = served.Application(client_max_size=2 * LARGE)
            if which == "gateway":
                application.router.add_post("/v1/chat/completions", self.stream)
            else:
                application.router.add_post("/v1/files", self.upload)
                application.router.add_get("/ws/live/", self.socket)
            runner = served.AppRunner(application)
            await runner.setup()
            await served.TCPSite(runner, "127.0.0.1", port).start()
            runners.append(runner)
        try:
            yield
        finally:
            for runner in runners:
                await runner.cleanup()


def with_ports(text: str, behind: Behind) -> str:
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{behind.web}").replace(
        "127.0.0.1:8001", f"127.0.0.1:{behind.gateway}"
    )


def nginx(folder: Path, port: int, behind: Behind) -> list[str]:
    text = with_ports((PROXIES / "nginx.conf").read_text(), behind)
    text = text.replace("listen 443 ssl http2", f"listen 127.0.0.1:{port} ssl http2")
    text = re.sub(r"/etc/letsencrypt/live/ai.example/(fullchain|privkey)\.pem", rf"{folder}/\1.pem", text)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"pid {folder}/pid;\nerror_log {folder}/log;\ndaemon off;\nuser root;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{text}\n}}\n"
    if os.geteuid():
        whole = whole.replace("user root;\n", "")
    (folder / "nginx.conf").write_text(whole)
    return [program("nginx"), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]


def caddy(folder: Path, port: int, behind: Behind) -> list[str]:
    text = with_ports((PROXIES / "Caddyfile").read_text(), behind)
    # A certificate of files in the place of one by ACME, for which this machine has no name.
    text = text.replace(
        "ai.example {", f"ai.example {{\n\tbind 127.0.0.1\n\ttls {folder}/fullchain.pem {folder}/privkey.pem"
    )
    whole = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port {port}\n\tstorage file_system {folder}/storage\n}}\n{text}"
    (folder / "Caddyfile").write_text(whole)
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_the_example_passes_streams_sockets_and_large_bodies(proxy: object, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert(NAME)
    (tmp_path / "fullchain.pem").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    (tmp_path / "privkey.pem").write_bytes(made.private_key_pem.bytes())
    behind, port = Behind(free_port(), free_port()), free_port()
    assert callable(proxy)
    command: list[str] = proxy(tmp_path, port, behind)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, env=environ, stdout=said, stderr=said)  # noqa: ASYNC220 - it runs beside
    try:
        async with (
            behind.listening(),
            aiohttp.ClientSession(f"https://{NAME}:{port}", connector=_here(trusting)) as client,
        ):
            await _until_it_listens(port, process, tmp_path)
            async with asyncio.timeout(2 * LONG):
                async with client.post("/v1/chat/completions", json={}) as answer:
                    assert await answer.content.readline() == b"data: first\n"
                    behind.seen.set()
                    assert b"data: second\n" in await answer.content.read()
                told = behind.headers[0]
                assert (told["X-Forwarded-Proto"], told["X-Forwarded-For"]) == ("https", "127.0.0.1")
                assert told["Host"].partition(":")[0] == NAME
                async with client.ws_connect("/ws/live/", origin=f"https://{NAME}") as socket:
                    await socket.send_str("hello")
                    assert await socket.receive_str() == f"https://{NAME} hello"
                async with client.post("/v1/files", data=_large()) as answer:
                    assert await answer.json() == {"size": LARGE}
    finally:
        process.terminate()
        process.wait(20)


def _here(trusting: ssl.SSLContext) -> aiohttp.TCPConnector:
    class Here(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 6, "flags": 0}]

        async def close(self) -> None:
            pass

    return aiohttp.TCPConnector(resolver=Here(), ssl=trusting)


async def _large() -> AsyncIterator[bytes]:
    for _ in range(LARGE >> 20):
        yield b"x" * (1 << 20)


async def _until_it_listens(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    async with asyncio.timeout(LONG):
        while True:
            assert process.poll() is None, (folder / "said").read_text()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
