"""OpenAI's endpoints: chat completions and the model list."""

from __future__ import annotations

from ollamamax.gateway import catalog, http
from ollamamax.gateway.execution import Call, collect
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.openai import requests, responses
from ollamamax.gateway.service import Service


async def chat_completions(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(requests.decoder, await service.body(scope, receive))
    inference = requests.to_inference(body)
    created = int(call.received_at)
    async with service.execution(call, body.model, inference, receive) as execution:
        if not body.stream:
            text, thinking, tool_calls = await collect(execution)
            assert execution.final is not None  # noqa: S101 - collect returned
            answer = responses.completion(call.id, body.model, created, execution.final, text, thinking, tool_calls)
            await http.respond(send, 200, answer, execution.headers())
            return
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = responses.Chunks(call.id, body.model, created, include_usage=include_usage)
        # Nothing is sent before the first event, so that a failure until then has its true status.
        delta = await execution.next()
        await http.begin(send, responses.EVENT_STREAM, execution.headers())
        part = chunks.first()
        while delta is not None:
            part += chunks.delta(delta)
            if not execution.has_more:
                await http.write(send, part)
                part = b""
            delta = await execution.next()
        assert execution.final is not None  # noqa: S101 - next returned None
        await http.finish(send, part + chunks.last(execution.final))


async def models(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal.tenant or "")
    await http.respond(send, 200, responses.model_list(listed), call.headers())
