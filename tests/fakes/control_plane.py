"""What a node needs of the control plane, over HTTP in a thread of the test: joining, and blobs with ranges and faults."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ollamamax.kernel.ids import new_id
from tests.patience import LONG


class ControlPlane:
    """``blobs`` are served by digest. ``break_after`` ends each answer after so many bytes; ``change`` alters what is sent."""

    def __init__(self, redis_url: Callable[[str], str] | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.secret = "omxn_test"
        self.token = "omxj_good"
        self.joins: list[dict[str, Any]] = []
        self.ranges: list[str] = []
        self.break_after: int | None = None
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.ignores_ranges = False
        self._redis_url = redis_url or (lambda node: f"redis://node.{node}:password@127.0.0.1:1/0")
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait(LONG)

    def add(self, data: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_post("/api/v1/nodes/join", self._join)
        app.router.add_get("/api/v1/blobs/{digest}", self._blob)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    async def _join(self, request: web.Request) -> web.Response:
        order = await request.json()
        self.joins.append(order)
        if order["token"] != self.token:
            problem = {"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthenticated"}
            return web.json_response(problem | {"detail": "The join token is wrong or expired."}, status=401)
        node = new_id()
        return web.json_response(
            {
                "node": node,
                "name": order["name"],
                "tenant": new_id(),
                "secret": self.secret,
                "redis_url": self._redis_url(node),
            },
            status=201,
        )

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.secret}":
            return web.Response(status=401)
        data = self.blobs.get(request.match_info["digest"])
        if data is None:
            return web.Response(status=404)
        wanted = request.headers.get("Range", "")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and not self.ignores_ranges else 0
        headers = {"Content-Length": str(len(data) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        rest = self.change(data)[start:]
        if self.break_after is not None and len(rest) > self.break_after:
            await response.write(rest[: self.break_after])
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write(rest)
        await response.write_eof()
        return response
