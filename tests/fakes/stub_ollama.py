"""As much of Ollama's API as a proxy for Ollama needs to send the stub engine a chat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from aiohttp import web


class Pace(Protocol):
    first_token_ms: float
    token_ms: float
    tokens: int


MODEL = "stub"
ENTRY: dict[str, Any] = {
    "name": f"{MODEL}:latest",
    "model": f"{MODEL}:latest",
    "size": 1000,
    "digest": "0" * 64,
    "details": {
        "format": "gguf",
        "family": "stub",
        "families": ["stub"],
        "parameter_size": "1B",
        "quantization_level": "Q4_0",
    },
}
"""The one model, as ``/api/tags`` lists it."""


def add_routes(app: web.Application, pace_of: Callable[[dict[str, Any]], Pace]) -> None:
    """``pace_of`` a request's body."""

    async def root(_: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"version": "0.12.11"})

    async def tags(_: web.Request) -> web.Response:
        return web.json_response({"models": [ENTRY | {"modified_at": _now()}]})

    async def ps(_: web.Request) -> web.Response:
        loaded = {"expires_at": "2318-01-01T00:00:00Z", "size_vram": 0, "context_length": 4096}
        return web.json_response({"models": [ENTRY | loaded]})

    async def chat(request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        pace = pace_of(body)
        count = (body.get("options") or {}).get("num_predict") or pace.tokens
        if body.get("stream") is False:
            return web.json_response(line("".join(f"t{n} " for n in range(count)), count))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await asyncio.sleep(pace.first_token_ms / 1000)
        await response.prepare(request)
        for number in range(count):
            if number and pace.token_ms:
                await asyncio.sleep(pace.token_ms / 1000)
            await response.write(msgspec.json.encode(line(f"t{number} ", None)) + b"\n")
        await response.write(msgspec.json.encode(line("", count)) + b"\n")
        await response.write_eof()
        return response

    app.router.add_get("/", root)
    app.router.add_get("/api/version", version)
    app.router.add_get("/api/tags", tags)
    app.router.add_get("/api/ps", ps)
    app.router.add_post("/api/chat", chat)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat()


def line(text: str, count: int | None) -> dict[str, Any]:
    line = {"model": f"{MODEL}:latest", "created_at": _now(), "message": {"role": "assistant", "content": text}}
    if count is None:
        return line | {"done": False}
    counts = {"total_duration": 1, "load_duration": 1, "prompt_eval_count": 7, "prompt_eval_duration": 1}
    return line | {"done": True, "done_reason": "stop", **counts, "eval_count": count, "eval_duration": 1}
