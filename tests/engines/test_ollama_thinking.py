"""What an Ollama server is asked to think, for models that know levels, on and off, or none of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from cluster.engines.ollama import Ollama
from ollamamax import contract
from ollamamax.kernel.errors import InvalidRequest, OllamaMaxError, Unsupported
from tests.engines.conftest import chat

VERSION = "sha256:" + "a" * 64
Able = Literal["levels", "switch", "nothing"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Server:
    """Answers as Ollama does, whose words for what its model cannot do these are."""

    def __init__(self) -> None:
        self.able: Able = "levels"
        self.asked: list[Any] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        think = body.get("think")
        self.asked.append(think)
        if think and self.able == "nothing":
            return web.json_response({"error": '"m" does not support thinking'}, status=400)
        if isinstance(think, str) and self.able == "switch":
            return web.json_response({"error": f'think value "{think}" is not supported for this model'}, status=400)
        if body["options"].get("seed") == 13:
            return web.json_response({"error": "invalid options"}, status=400)
        said: dict[str, Any] = {"message": {"content": "hi"}} if "messages" in body else {"response": "hi"}
        return web.json_response({**said, "done": True, "prompt_eval_count": 3, "eval_count": 1})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made() -> AsyncIterator[tuple[Server, Ollama]]:
    server, app = Server(), web.Application()
    app.router.add_post("/api/chat", server.answer)
    app.router.add_post("/api/generate", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    engine = Ollama(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await engine.start()
    yield server, engine
    await engine.close()
    await runner.cleanup()


async def ask(made: tuple[Server, Ollama], able: Able, **changes: Any) -> list[Any]:
    """What the server was asked to think, in its order."""
    server, engine = made
    server.able, server.asked = able, []
    asked = msgspec.structs.replace(chat("Hi"), **changes)
    *deltas, final = [event async for event in engine.generate(VERSION, "m", asked)]
    assert isinstance(final, contract.Final)
    assert "".join(delta.text for delta in deltas if isinstance(delta, contract.Delta)) == "hi"
    return server.asked


@pytest.mark.parametrize("with_context", [False, True])
@pytest.mark.parametrize(
    ("able", "think", "tries"),
    [
        ("levels", "high", ["high"]),
        ("switch", "high", ["high", True]),
        ("nothing", "high", ["high", True, None]),
        ("levels", True, [True]),
        ("nothing", True, [True, None]),
        ("nothing", False, [False]),
        ("nothing", None, [None]),
    ],
)
async def test_a_wish_to_think_is_granted_as_far_as_the_model_can(
    made: tuple[Server, Ollama], able: Able, think: Any, tries: list[Any], with_context: bool
) -> None:
    assert await ask(made, able, think=think, think_if_able=True, with_context=with_context) == tries


async def test_a_demand_to_think_is_refused_and_so_is_what_is_wrong_besides(made: tuple[Server, Ollama]) -> None:
    wrong: list[tuple[type[OllamaMaxError], Able, dict[str, Any]]] = [
        (Unsupported, "nothing", {"think": True}),
        (InvalidRequest, "switch", {"think": "low"}),
        (InvalidRequest, "levels", {"think": "low", "think_if_able": True, "options": contract.Options(seed=13)}),
    ]
    for kind, able, changes in wrong:
        with pytest.raises(kind):
            await ask(made, able, **changes)
        assert len(made[0].asked) == 1
