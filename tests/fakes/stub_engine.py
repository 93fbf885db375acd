"""An OpenAI-compatible server that generates nothing real: `python -m tests.fakes.stub_engine`.

Every token is ``t<number> ``, so that a reader sees what was lost, doubled or out of order. It counts the streams
that were broken off (``GET /stub``). ``max_tokens`` of a request goes before ``--tokens``, and a message that ends in
``every 5 ms`` before ``--token-ms``, with ``first after 10 ms, `` in front of that before ``--first-token-ms``. A stream
asked for with ``every 5 ms until x7`` ends once the word is told (``PUT /stub`` with ``x7``), at most after ``LONGEST`` tokens. It speaks
as much of Ollama's API as a proxy for Ollama needs to send it a chat. With ``--owned-by llamacpp`` it tells its slots as llama.cpp's
server does; with ``--owned-by vllm`` it passes for vLLM, and then goes on with an answer that was begun (``continue_final_message``): with the number after the last one in it.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import click
import msgspec
from aiohttp import web

from tests.fakes import stub_ollama

MODEL = stub_ollama.MODEL
LONGEST = 10_000


@dataclass
class Pace:
    """Milliseconds before the first token and between tokens, and how many there are."""

    first_token_ms: float = 0.0
    token_ms: float = 0.0
    tokens: int = 32
    owned_by: str = "stub"
    until: str = ""


@dataclass
class Seen:
    """What happened to the server's requests."""

    running: int = 0
    finished: int = 0
    broken_off: int = 0
    slots: int = 2
    told: set[str] = field(default_factory=set)
    traceparents: deque[str] = field(default_factory=lambda: deque(maxlen=100))


PACE = web.AppKey("pace", Pace)
SEEN = web.AppKey("seen", Seen)


def application(pace: Pace) -> web.Application:
    app = web.Application(client_max_size=64 << 20)
    app[PACE] = pace
    app[SEEN] = Seen()
    app.router.add_get("/health", _health)
    app.router.add_get("/stub", _stub)
    app.router.add_put("/stub", _tell)
    app.router.add_get("/props", _props)
    app.router.add_put("/props", _props)
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/completions", _completion)
    app.router.add_post("/v1/embeddings", _embed)
    stub_ollama.add_routes(app, lambda body: paced(body, pace))
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _stub(request: web.Request) -> web.Response:
    seen = request.app[SEEN]
    return web.json_response(
        {
            "running": seen.running,
            "finished": seen.finished,
            "broken_off": seen.broken_off,
            "traceparents": list(seen.traceparents),
        }
    )


async def _tell(request: web.Request) -> web.Response:
    request.app[SEEN].told.add(await request.text())
    return web.Response(status=204)


async def _props(request: web.Request) -> web.Response:
    """As llama.cpp's server tells its slots; what is put is told from then on, as by a server that was started anew."""
    seen = request.app[SEEN]
    if request.method == "PUT":
        seen.slots = int(await request.text())
    return web.json_response({"total_slots": seen.slots})


async def _models(request: web.Request) -> web.Response:
    owner = request.app[PACE].owned_by
    return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": owner}]})


async def _chat(request: web.Request) -> web.StreamResponse:
    return await _answer(request, chat=True)


async def _completion(request: web.Request) -> web.StreamResponse:
    return await _answer(request, chat=False)


async def _embed(request: web.Request) -> web.Response:
    body = await request.json()
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    rows = [{"object": "embedding", "index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(inputs)]
    return web.json_response(
        {"object": "list", "data": rows, "model": body["model"], "usage": {"prompt_tokens": len(inputs)}}
    )


async def _answer(request: web.Request, *, chat: bool) -> web.StreamResponse:
    body = msgspec.json.decode(await request.read())
    seen = request.app[SEEN]
    seen.traceparents.append(request.headers.get("traceparent", ""))
    if body["model"] != MODEL:
        return web.json_response({"error": {"message": f"The model `{body['model']}` does not exist."}}, status=404)
    first = _begun(body)
    pace = paced(body, request.app[PACE])
    count = body.get("max_tokens") or max(0, pace.tokens - first)
    # What was begun is read like the rest of the prompt.
    usage = {"prompt_tokens": 7 + first, "completion_tokens": count, "total_tokens": 7 + first + count}
    seen.running += 1
    try:
        if body.get("stream"):
            response = await _stream(request, range(first, first + count), usage, pace, chat=chat)
        else:
            text = "".join(f"t{n} " for n in range(first, first + count))
            response = web.json_response(_whole(text, usage, chat=chat))
    except (ConnectionError, asyncio.CancelledError):
        seen.broken_off += 1
        raise
    else:
        seen.finished += 1
        return response
    finally:
        seen.running -= 1


def paced(body: dict[str, Any], otherwise: Pace) -> Pace:
    messages = [each for each in body.get("messages") or () if each["role"] != "assistant"] or [{}]
    asked = re.search(r"(?:first after (\d+) ms, )?every (\d+) ms(?: until (\w+))?$", str(messages[-1].get("content")))
    if asked is None:
        return otherwise
    return Pace(
        float(asked[1]) if asked[1] else otherwise.first_token_ms,
        float(asked[2]),
        LONGEST if asked[3] else otherwise.tokens,
        until=asked[3] or "",
    )


def _begun(body: dict[str, Any]) -> int:
    """The number with which to go on: 0 unless the request holds the beginning of its own answer."""
    if not body.get("continue_final_message"):
        return 0
    said = re.findall(r"t(\d+) ", body["messages"][-1]["content"])
    return int(said[-1]) + 1 if said else 0


async def _stream(
    request: web.Request, numbers: range, usage: dict[str, int], pace: Pace, *, chat: bool
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await asyncio.sleep(pace.first_token_ms / 1000)
    await response.prepare(request)
    kind = "chat.completion.chunk" if chat else "text_completion"
    for number in numbers:
        if number > numbers.start and pace.token_ms:
            await asyncio.sleep(pace.token_ms / 1000)
        if pace.until in request.app[SEEN].told:
            tokens = number - numbers.start
            usage |= {"completion_tokens": tokens, "total_tokens": usage["prompt_tokens"] + tokens}
            break
        text = f"t{number} "
        part = {"delta": {"content": text}} if chat else {"text": text}
        await response.write(_event({"object": kind, "choices": [{"index": 0, **part, "finish_reason": None}]}))
    last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    await response.write(_event({"object": kind, "choices": [{"index": 0, **last, "finish_reason": "stop"}]}))
    await response.write(_event({"object": kind, "choices": [], "usage": usage}))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _whole(text: str, usage: dict[str, int], *, chat: bool) -> dict[str, Any]:
    part: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return {"object": "chat.completion", "choices": [{"index": 0, **part, "finish_reason": "stop"}], "usage": usage}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value | {"id": "stub", "model": MODEL, "created": 0}) + b"\n\n"


@click.command(help="Serve on loopback until interrupted.")
@click.option("--port", default=9999, show_default=True)
@click.option("--first-token-ms", default=0.0, show_default=True)
@click.option("--token-ms", default=0.0, show_default=True)
@click.option("--tokens", default=32, show_default=True)
@click.option(
    "--owned-by", default=Pace.owned_by, show_default=True, help="What /v1/models says; vllm goes on with answers."
)
def main(port: int, first_token_ms: float, token_ms: float, tokens: int, owned_by: str) -> None:
    web.run_app(
        application(Pace(first_token_ms, token_ms, tokens, owned_by)),
        host="127.0.0.1",
        port=port,
        print=None,
        access_log=None,
        # A client that left stops the work, as in the servers this one stands for.
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
