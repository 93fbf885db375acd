"""A server that speaks Ollama's API on the wire, as published, and generates with a real llama.cpp behind it.

Errors, the last object's counts, nanoseconds, digests without prefix and 404 for unknown models are Ollama's. It runs in a
thread of the test.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from cluster.engines.llamacpp_process import LlamaProcess, Order
from tests.patience import LONG

VERSION = "0.12.6"
_OPTIONS = {
    "num_predict": "n_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
}
_LOAD_OPTIONS = {"num_ctx": 4096, "num_gpu": -1}


class OllamaServer:
    """One model, ``name``, loaded on its first request and unloaded by ``keep_alive`` 0."""

    def __init__(self, model: Path, name: str = "smollm2:135m") -> None:
        self.name = name
        self.path = model
        self.digest = hashlib.sha256(name.encode()).hexdigest()
        self.models = {name: self.digest}
        """Names and digests of what it keeps; only ``name`` can be run."""
        self.registry: dict[str, int] = {}
        """Names that can be pulled, and how many bytes they have."""
        self.pull_pause = 0.0
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.process: LlamaProcess | None = None
        self.loads = 0
        self._options: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._loading = asyncio.Lock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait(LONG)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def kill_runner(self) -> None:
        """What happens when Ollama's own runner process crashes."""
        if self.process is not None:
            self.process._child.kill()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._ps)
        app.router.add_post("/api/chat", self._chat)
        app.router.add_post("/api/generate", self._generate)
        app.router.add_post("/api/embed", self._embed)
        app.router.add_post("/api/pull", self._pull)
        app.router.add_post("/api/create", self._create)
        app.router.add_delete("/api/delete", self._delete)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.client = self._loop.run_until_complete(_client())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self.client.close())
        self._loop.run_until_complete(runner.cleanup())
        if self.process is not None:
            self._loop.run_until_complete(self.process.stop())

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    def _row(self, name: str = "") -> dict[str, Any]:
        name = name or self.name
        return {
            "name": name,
            "model": name,
            "size": self.path.stat().st_size,
            "digest": self.models.get(name, self.digest),
            "details": {
                "parent_model": "",
                "format": "gguf",
                "family": "llama",
                "families": ["llama"],
                "parameter_size": "134.52M",
                "quantization_level": "Q4_1",
            },
        }

    async def _tags(self, _: web.Request) -> web.Response:
        modified = {"modified_at": "2026-11-01T10:00:00.123456789+01:00"}
        return web.json_response({"models": [self._row(name) | modified for name in self.models]})

    async def _ps(self, _: web.Request) -> web.Response:
        if self.process is None:
            return web.json_response({"models": []})
        until = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        row = self._row() | {"expires_at": until, "size_vram": 0, "context_length": self._options["num_ctx"]}
        return web.json_response({"models": [row]})

    async def _prepare(self, request: web.Request) -> tuple[dict[str, Any], web.Response | None, int]:
        """The body; an answer when there is nothing to generate; nanoseconds that loading took."""
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self.requests.append((request.path, body, dict(request.headers)))
        if body.get("model") not in {self.name, self.name.removesuffix(":latest")}:
            return body, _error(404, f"model '{body.get('model')}' not found"), 0
        empty = not (body.get("messages") or body.get("prompt") or body.get("input") or body.get("suffix"))
        if empty and body.get("keep_alive") == 0:
            if self.process is not None:
                process, self.process = self.process, None
                await process.stop()
            return body, self._done(body, "unload"), 0
        took = await self._load(body.get("options") or {})
        return body, self._done(body, "load") if empty else None, took

    async def _load(self, given: dict[str, Any]) -> int:
        """Ollama loads a model again when a request's load options are not those of the loaded one; left out, they are the default."""
        options = {name: given.get(name, default) for name, default in _LOAD_OPTIONS.items()}
        async with self._loading:
            if self.process is not None and self.process.alive and options == self._options:
                return 1_000_000
            start = time.perf_counter_ns()
            if self.process is not None:
                await self.process.stop()
            self.loads, self._options = self.loads + 1, options
            self.process = LlamaProcess(Order(str(self.path), 2, options["num_ctx"], 1))
            await self.process.ready(self.client)
            return time.perf_counter_ns() - start

    def _done(self, body: dict[str, Any], reason: str) -> web.Response:
        return web.json_response(
            {"model": body["model"], "created_at": _now(), "response": "", "done": True, "done_reason": reason}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body, answer, took = await self._prepare(request)
        if answer is not None:
            return answer
        if body.get("tools"):
            return _error(400, f"registry.ollama.ai/library/{self.name} does not support tools")
        if body.get("think"):
            return _error(400, f'"{self.name}" does not support thinking')
        async with self._post("/apply-template", {"messages": body["messages"]}) as response:
            prompt = (await response.json())["prompt"]
        return await self._generated(request, body, prompt, took, chat=True)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body, answer, took = await self._prepare(request)
        if answer is not None:
            return answer
        if body.get("suffix"):
            return _error(400, f"registry.ollama.ai/library/{self.name} does not support insert")
        prompt = body["prompt"]
        if not body.get("raw"):
            message = [{"role": "user", "content": prompt}]
            async with self._post("/apply-template", {"messages": message}) as response:
                prompt = (await response.json())["prompt"]
        return await self._generated(request, body, prompt, took, chat=False)

    async def _told(self, request: web.Request, *rows: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for row in rows:
            await response.write(msgspec.json.encode(row) + b"\n")
            await asyncio.sleep(self.pull_pause)
        await response.write_eof()
        return response

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        name = body["model"].partition("://")[2] or body["model"]
        if name not in self.registry:
            missing = {"error": "pull model manifest: file does not exist"}
            return await self._told(request, {"status": "pulling manifest"}, missing)
        total, digest = self.registry[name], "sha256:" + hashlib.sha256(name.encode()).hexdigest()
        rows: list[dict[str, Any]] = [{"status": "pulling manifest"}]
        rows += [
            {"status": "pulling abc", "digest": digest, "total": total, "completed": done}
            for done in (total // 2, total)
        ]
        answer = await self._told(request, *rows, {"status": "writing manifest"}, {"status": "success"})
        self.models[name] = digest.removeprefix("sha256:")
        return answer

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if body.get("from") not in self.models:
            return _error(404, f"model '{body.get('from')}' not found")
        self.models[body["model"]] = hashlib.sha256(msgspec.json.encode(body)).hexdigest()
        return await self._told(request, {"status": "writing manifest"}, {"status": "success"})

    async def _delete(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        if self.models.pop(body["model"], None) is None:
            return _error(404, f"model '{body['model']}' not found")
        return web.Response()

    async def _body(self, request: web.Request) -> dict[str, Any]:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self.requests.append((request.path, body, dict(request.headers)))
        return body

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        _, answer, _ = await self._prepare(request)
        return answer or _error(501, "this model does not support embeddings")

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        assert self.process is not None
        headers = {"Authorization": f"Bearer {self.process.api_key}"}
        return self.client.post(self.process.url + path, json=body, headers=headers)

    async def _generated(
        self, request: web.Request, body: dict[str, Any], prompt: str, load: int, *, chat: bool
    ) -> web.StreamResponse:
        start = time.perf_counter_ns() - load
        given = {_OPTIONS[k]: v for k, v in (body.get("options") or {}).items() if k in _OPTIONS}
        given |= {"prompt": prompt, "stream": True, "cache_prompt": False}
        if isinstance(body.get("format"), dict):
            given["json_schema"] = body["format"]
        elif body.get("format") == "json":
            given["json_schema"] = {"type": "object"}
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)

        async def write(value: dict[str, Any]) -> None:
            await response.write(msgspec.json.encode({"model": body["model"], "created_at": _now()} | value) + b"\n")

        def part(text: str) -> dict[str, Any]:
            return {"message": {"role": "assistant", "content": text}} if chat else {"response": text}

        try:
            async with self._post("/completion", given) as upstream:
                async for line in upstream.content:
                    if not line.startswith(b"data: "):
                        continue
                    chunk = msgspec.json.decode(line[6:])
                    if chunk["content"]:
                        await write(part(chunk["content"]) | {"done": False})
                    if chunk["stop"]:
                        await write(part("") | _counts(chunk, load, time.perf_counter_ns() - start))
        except aiohttp.ClientError:
            await response.write(b'{"error":"an error was encountered while running the model: unexpected EOF"}\n')
        await response.write_eof()
        return response


async def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


def _counts(chunk: dict[str, Any], load: int, total: int) -> dict[str, Any]:
    timings = chunk["timings"]
    return {
        "done_reason": "length" if chunk["stop_type"] == "limit" else "stop",
        "done": True,
        "total_duration": total,
        "load_duration": load,
        "prompt_eval_count": chunk["tokens_evaluated"],
        "prompt_eval_duration": int(timings["prompt_ms"] * 1e6),
        "eval_count": chunk["tokens_predicted"],
        "eval_duration": int(timings["predicted_ms"] * 1e6),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
