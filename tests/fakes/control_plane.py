"""What a node needs of the control plane, over HTTP in a thread of the test: joining, and blobs with ranges and faults, whole or in pieces of each other."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from models_registry.peers.authority import PeerAuthority
from models_registry.replication.terms import RATE_HEADER, REGION_RATE_HEADER
from ollamamax import contract
from ollamamax.contract.peers import BlobPeer, BlobSource, TransferLeave
from ollamamax.kernel.ids import new_id
from tests.patience import LONG


class ControlPlane:
    """``blobs`` are served by digest. ``break_after`` ends each answer after so many bytes; ``pause_after`` says no more after them;
    ``change`` alters what is sent. Blobs are told in pieces of ``piece`` bytes, and ``rate`` and ``region_rate`` with them; ``leaves``
    are the bytes for which leave was asked. ``secrets`` are those of several nodes, and ``ports`` where these listen, on this machine."""

    def __init__(self, redis_url: Callable[[str], str] | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.secret = "omxn_test"
        self.token = "omxj_good"
        self.joins: list[dict[str, Any]] = []
        self.ranges: list[str] = []
        self.break_after: int | None = None
        self.pause_after: int | None = None
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.ignores_ranges = False
        self.piece: int | None = None
        self.rate: int | None = None
        self.region_rate: int | None = None
        self.leaves: list[int] = []
        self.secrets: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        self.whole: set[str] = set()
        self.authority = PeerAuthority("a secret of this control plane alone")
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
        app.router.add_get("/api/v1/blobs/certificate", self._certificate)
        app.router.add_get("/api/v1/blobs/{digest}", self._blob)
        app.router.add_get("/api/v1/blobs/{digest}/source", self._source)
        app.router.add_get("/api/v1/blobs/{digest}/leave", self._leave)
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

    def _node_of(self, request: web.Request) -> str | None:
        """Whose secret it shows; ``None`` where it shows none that is known."""
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.secrets.get(secret) or ("0" * 32 if secret == self.secret else None)

    async def _certificate(self, request: web.Request) -> web.Response:
        node = self._node_of(request)
        if node is None:
            return web.Response(status=401)
        made = self.authority.issue(node, datetime.datetime.now(datetime.UTC))
        return web.Response(body=contract.encode_json(made), content_type="application/json")

    async def _source(self, request: web.Request) -> web.Response:
        node, digest = self._node_of(request), request.match_info["digest"]
        data = self.blobs.get(digest)
        if node is None or data is None or self.piece is None:
            return web.Response(status=404)
        pieces = [data[begin : begin + self.piece] for begin in range(0, len(data), self.piece)]
        now = time.time()
        peers = [
            BlobPeer(
                other,
                "127.0.0.1",
                port,
                self.authority.ticket(asking=node, giving=other, digest=digest, now=now),
                other in self.whole,
            )
            for other, port in self.ports.items()
            if other != node
        ]
        hashes = b"".join(hashlib.sha256(each).digest() for each in pieces)
        found = BlobSource(len(data), self.piece, hashes, peers=peers, rate=self.rate, region_rate=self.region_rate)
        return web.Response(body=contract.encode_json(found), content_type="application/json")

    async def _leave(self, request: web.Request) -> web.Response:
        if self._node_of(request) is None:
            return web.Response(status=401)
        self.leaves.append(int(request.query["bytes"]))
        found = contract.encode_json(TransferLeave(self.leaves[-1], 0.0))
        return web.Response(body=found, content_type="application/json")

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        if self._node_of(request) is None:
            return web.Response(status=401)
        data = self.blobs.get(request.match_info["digest"])
        if data is None:
            return web.Response(status=404)
        wanted = request.headers.get("Range", "")
        self.ranges.append(wanted)
        first, _, last = wanted.removeprefix("bytes=").partition("-") if not self.ignores_ranges else ("", "", "")
        start, stop = int(first or 0), int(last or len(data) - 1) + 1
        partial = (start, stop) != (0, len(data))
        headers = {"Content-Length": str(stop - start)}
        if partial:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        for name, rate in ((RATE_HEADER, self.rate), (REGION_RATE_HEADER, self.region_rate)):
            if rate is not None:
                headers[name] = str(rate)
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        await response.prepare(request)
        rest = self.change(data)[start:stop]
        if self.break_after is not None and len(rest) > self.break_after:
            await response.write(rest[: self.break_after])
            if request.transport is not None:
                request.transport.close()
            return response
        if self.pause_after is not None and len(rest) > self.pause_after:
            await response.write(rest[: self.pause_after])
            await asyncio.Event().wait()
        await response.write(rest)
        await response.write_eof()
        return response
