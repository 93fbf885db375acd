"""A registry that speaks the distribution protocol over HTTP in a thread of the test: manifests, blobs with ranges,
uploads, tokens, and every fault a registry can have."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from typing import Any

from aiohttp import web

from tests.patience import LONG

KINDS = "application/vnd.ollama.image."
IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """``token`` is asked for where it is set. ``break_after`` ends each answer after so many bytes, ``pause`` waits
    before each piece; ``fail`` answers that many requests for blobs with 500; ``elsewhere`` sends for blobs to another address."""

    def __init__(self, port: int = 0) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.token = ""
        self.realm = ""
        self.break_after: int | None = None
        self.pause = 0.0
        self.fail = 0
        self.elsewhere = ""
        self.change: Any = lambda data: data
        self.ignores_ranges = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._port = port
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait(LONG)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, data: bytes, kind: str) -> dict[str, Any]:
        digest = digest_of(data)
        self.blobs[digest] = data
        return {"mediaType": kind if "/" in kind else KINDS + kind, "digest": digest, "size": len(data)}

    def publish(self, name: str, *layers: dict[str, Any], config: bytes = b'{"model_format":"gguf"}') -> dict[str, Any]:
        """``name`` is ``namespace/model:tag``."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": self.add(config, CONFIG),
            "layers": list(layers),
        }
        self.manifests[name] = json.dumps(manifest).encode()
        return manifest

    def ranges(self, digest: str) -> list[str]:
        return [wanted for method, path, wanted in self.requests if method == "GET" and path.endswith(digest)]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 30, middlewares=[self._check])
        app.router.add_get("/token", self._token)
        app.router.add_get("/v2/{namespace}/{model}/manifests/{tag}", self._manifest)
        app.router.add_put("/v2/{namespace}/{model}/manifests/{tag}", self._put_manifest)
        app.router.add_get("/v2/{namespace}/{model}/blobs/{digest}", self._blob)
        app.router.add_post("/v2/{namespace}/{model}/blobs/uploads/", self._begin)
        app.router.add_put("/upload/{id}", self._put_blob)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self._port).start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path, request.headers.get("Range", "")))
        given = request.headers.get("Authorization")
        if self.token and request.path.startswith("/v2/") and given != f"Bearer {self.token}":
            realm = self.realm or f"http://{self.host}/token"
            challenge = f'Bearer realm="{realm}",service="{self.host}",scope="repository:x:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"token": self.token, "asked": request.query.get("scope", "")})

    def _name(self, request: web.Request) -> str:
        told = request.match_info
        return f"{told['namespace']}/{told['model']}:{told['tag']}"

    async def _manifest(self, request: web.Request) -> web.Response:
        found = self.manifests.get(self._name(request))
        if found is None:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        return web.Response(body=found, content_type=IMAGE)

    async def _put_manifest(self, request: web.Request) -> web.Response:
        data = await request.read()
        for layer in json.loads(data)["layers"]:
            if layer["digest"] not in self.blobs:
                return web.json_response({"errors": [{"code": "BLOB_UNKNOWN"}]}, status=400)
        self.manifests[self._name(request)] = data
        return web.Response(status=201)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        if self.fail:
            self.fail -= 1
            return web.Response(status=500)
        digest = request.match_info["digest"]
        if self.elsewhere:
            return web.Response(status=307, headers={"Location": self.elsewhere})
        data = self.blobs.get(digest)
        if data is None:
            return web.Response(status=404)
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(data))})
        wanted = request.headers.get("Range", "") if not self.ignores_ranges else ""
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        body = self.change(data)
        headers = {"Content-Length": str(len(body) - start)}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        response = web.StreamResponse(status=206 if wanted else 200, headers=headers)
        await response.prepare(request)
        rest, sent = body[start:], 0
        while rest:
            piece, rest = rest[: 1 << 18], rest[1 << 18 :]
            if self.break_after is not None and sent + len(piece) > self.break_after:
                await response.write(piece[: self.break_after - sent])
                if request.transport is not None:
                    request.transport.close()
                return response
            if self.pause:
                await asyncio.sleep(self.pause)
            await response.write(piece)
            sent += len(piece)
        await response.write_eof()
        return response

    async def _begin(self, request: web.Request) -> web.Response:
        return web.Response(status=202, headers={"Location": "/upload/1?state=x%2Fy"})

    async def _put_blob(self, request: web.Request) -> web.Response:
        data = await request.read()
        if digest_of(data) != request.query.get("digest") or request.query.get("state") != "x/y":
            return web.Response(status=400)
        self.blobs[request.query["digest"]] = data
        return web.Response(status=201)
