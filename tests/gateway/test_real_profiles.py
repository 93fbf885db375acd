"""Profiles and fallbacks on the real llama.cpp, asked by Ollama's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import ollama
import pytest_asyncio

from cluster.engines.llamacpp import LlamaCpp
from ollamamax.bus import keys
from ollamamax.contract import Event, Failure, ModelState, Ticket
from ollamamax.kernel.errors import OllamaMaxError
from tests.engines.conftest import VERSION as HOSTED
from tests.engines.conftest import OneModel
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site
from tests.gateway.test_fallbacks import add_model, add_node, version
from tests.patience import until


class Host:
    """A real engine behind a node that has the model ``first``, and how often it loaded."""

    def __init__(self) -> None:
        self.engine = LlamaCpp(OneModel(), slots=2, context=512, threads=1)
        self.loads = 0
        self.node: FakeNode

    async def run(self, ticket: Ticket) -> AsyncIterator[Event]:
        try:
            async for event in self.engine.generate(HOSTED, ticket.model, ticket.inference, load=ticket.load):
                self.loads += getattr(event, "load_ms", 0) > 0
                yield event
        except OllamaMaxError as error:
            yield Failure(error.code, error.message, error.status, error.fields.get("param"))
        self.node.loaded, self.node.loaded_context = self.engine.loaded(HOSTED), self.engine.context(HOSTED)


@pytest_asyncio.fixture
async def host(site: Site) -> AsyncIterator[Host]:
    made = Host()
    await made.engine.start()
    made.node = await add_node(site, "first", made.run)
    made.node.loaded = False
    made.node.models = [ModelState(version("first"), "first", "loaded", "llamacpp")]
    yield made
    await made.engine.close()


async def _say(site: Site, num_ctx: int | None, text: str = "Hi") -> ollama.ChatResponse:
    client = ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})
    options = {"num_predict": 2} | ({"num_ctx": num_ctx} if num_ctx else {})
    return await client.chat(model="first", messages=[{"role": "user", "content": text}], options=options)


async def test_two_clients_that_alternate_load_it_once(site: Site, host: Host) -> None:
    await add_model(site, "first", num_ctx=4096)
    for num_ctx in (2048, 1024, 4096) * 3:
        assert (await _say(site, num_ctx)).eval_count == 2
    assert host.loads == 1
    assert host.engine.context(HOSTED) == 4096
    # The first loaded it; of the others three asked for what is loaded.
    field = f"{site.tenant}/first:latest"
    await until(lambda: site.client.hget(keys.RELOADS_AVOIDED, field) == b"5")


async def test_what_is_too_long_for_it_is_served_by_the_model_that_stands_in(site: Site, host: Host) -> None:
    await add_model(site, "first", ("second", "context_too_long"), num_ctx=512)
    await add_model(site, "second")
    await add_node(site, "second")
    assert (await _say(site, None)).model == "first"
    answer = await _say(site, None, "word " * 900)
    assert answer.model == "second:latest"
    assert answer.message.content == "word " * 900
