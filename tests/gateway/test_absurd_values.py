"""A value that nobody means, at any place of any body, does no harm or is the client's fault: never that of the server, a node or an engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from cluster.engines import ollama_wire, openai_wire
from cluster.engines.openai_wire import LLAMACPP, PLAIN, VLLM, Dialect
from ollamamax.contract import Event, Failure, Final, Ticket
from ollamamax.gateway.routes import ROUTES
from ollamamax.kernel.errors import OllamaMaxError
from tests.fakes.node import echo
from tests.gateway.absurd import BODIES, VALUES, bodies
from tests.gateway.conftest import Site
from tests.gateway.scripts import embeds

EVERY = 11
"""One body in so many is tried. It shares no factor with the number of values, so that each place has others, and each value many places."""
AT_ONCE = 16


def asks_every_engine(broke: list[str]) -> Callable[[Ticket], AsyncIterator[Event]]:
    """Makes the bodies that each kind of engine would be sent, refuses as a node does what can be made for none, and answers."""

    async def script(ticket: Ticket) -> AsyncIterator[Event]:
        made, refused = 0, None
        for body in _wires(ticket):
            try:
                msgspec.json.encode(body())
                made += 1
            except OllamaMaxError as error:
                refused = error
            except Exception as error:  # noqa: BLE001 - what a node would take for a defect of its own
                broke.append(f"{error!r}: {ticket.inference}"[:2000])
        if refused is not None and not made:
            yield Failure(refused.code, refused.message, refused.status, refused.fields.get("param"))
            return
        async for event in _answer(ticket):
            yield event

    return script


def _wires(ticket: Ticket) -> list[Callable[[], Any]]:
    asked = ticket.inference

    def to_openai(dialect: Dialect) -> Callable[[], Any]:
        return lambda: openai_wire.body("openai", asked, "m", dialect)

    def to_ollama() -> Any:
        if asked.kind == "embed":
            return ollama_wire.embed(asked, "m")
        if asked.context or (asked.with_context and asked.kind == "chat"):
            return ollama_wire.remembering(asked, "m")
        return (ollama_wire.chat if asked.kind == "chat" else ollama_wire.generate)(asked, "m")

    if asked.kind in {"chat", "completion"}:
        return [*(to_openai(dialect) for dialect in (LLAMACPP, VLLM, PLAIN)), to_ollama]
    return [to_ollama] if asked.kind == "embed" else []


async def _answer(ticket: Ticket) -> AsyncIterator[Event]:
    asked = ticket.inference
    if asked.kind == "rerank":
        yield Final(scores=[0.5] * len(asked.inputs))
    elif asked.kind == "count":
        yield Final(counted=42)
    elif asked.kind in {"embed", "show"}:
        async for event in embeds(ticket):
            yield event
    else:
        async for event in echo(ticket):
            yield event


def has_the_form(path: str, body: Any) -> bool:
    """Whether an error is told as the route's protocol tells it."""
    match body:
        case {"type": "error", "error": {"type": str(), "message": str()}}:
            return path.startswith("/v1/messages")
        case {"error": {"message": str(), "type": str()}}:
            return path.startswith("/v1/") and not path.startswith("/v1/messages")
        case {"error": str()}:
            return path.startswith("/api/")
    return False


@pytest.mark.parametrize("path", sorted(BODIES))
async def test_no_value_at_any_place_is_more_than_the_clients_fault(site: Site, path: str) -> None:
    broke: list[str] = []
    node = await site.add_node(script=asks_every_engine(broke), capacity=4 * AT_ONCE)
    left = (each for number, each in enumerate(bodies(path)) if number % EVERY == 0)
    headers = {"Authorization": f"Bearer {site.key}"}
    wrong: list[str] = []

    async def ask() -> None:
        for place, body in left:
            async with site.http.post(site.url + path, data=json.dumps(body), headers=headers) as response:
                said = await response.read()
            is_told = response.status == 200 or has_the_form(path, json.loads(said))
            if not (is_told and response.status in {200, 400, 404, 413}):
                wrong.append(f"{place}: {response.status} {said[:300]!r}")

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    assert (wrong, broke) == ([], [])
    assert [ticket.id for ticket in node.tickets if not ticket.id.endswith(".1")] == [], "one attempt each"


def test_every_route_with_a_body_has_one_here() -> None:
    assert set(BODIES) == {path for path, route in ROUTES.items() if route.method == "POST"}
    assert len(VALUES) % EVERY != 0
