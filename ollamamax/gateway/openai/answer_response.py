"""Answers ``/v1/responses``: finds what a response goes on from, runs it, and has it kept, at once or in the background."""

from __future__ import annotations

import msgspec

from ollamamax.gateway.asked import Asked, Render, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.openai.kept import kept
from ollamamax.gateway.openai.response import CountedInput, Response, ShownResponse
from ollamamax.gateway.openai.response_request import ResponseRequest, to_inference
from ollamamax.gateway.run import Client, run
from ollamamax.gateway.service import Service


def render(asked: Asked, call: Call, model: str) -> Renderer:
    """One that is kept has one id, whichever model answers."""
    body, keeps = asked.body
    request = keeps.id if keeps.is_stored else call.id
    shown = ShownResponse(request, msgspec.structs.replace(body, model=model), int(call.received_at), keeps.fields)
    return Response(shown, keeps)


def render_count(asked: Asked, call: Call, model: str) -> Renderer:
    return CountedInput()


async def answer(service: Service, call: Call, asked: Asked, client: Client, render: Render) -> None:
    """Raises what `kept` and `run` raise."""
    body: ResponseRequest = asked.body
    keeps = await kept(service, call, body)
    begun = ShownResponse(call.id, body, int(call.received_at), keeps.fields).response([], None)
    if body.background:
        queued = begun | {"status": "queued"}
        await keeps.queue(queued)
        await client.respond(200, encode(queued), call.headers())
        return
    inference = to_inference(keeps.asked, call.ignored)
    asked = msgspec.structs.replace(asked, inferences=[inference], body=(body, keeps))
    await keeps.begin(begun)
    try:
        await run(service, call, asked, client, render)
    except BaseException as error:
        keeps.fail(error)
        raise


async def answer_count(service: Service, call: Call, asked: Asked, client: Client, render: Render) -> None:
    """How many tokens the input of a response would have. Raises what `kept` and `run` raise."""
    keeps = await kept(service, call, asked.body)
    inference = to_inference(keeps.asked, call.ignored)
    inference.kind = "count"
    asked = msgspec.structs.replace(asked, inferences=[inference], may_fall_back=False)
    await run(service, call, asked, client, render)
