"""Fallbacks: a request that its model cannot serve is given to the next model that stands in for it.

It is run again from its beginning, under another name, and only as long as nothing of an answer was sent. So whatever is
behind a name is told by the answer itself: its ``model`` is the one that served it, and so is its usage record's.

A request that waits for a slot keeps its place while it is tried with those whose time has come: each has a slot at once, or
not at all. So it never loses its turn by trying.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import msgspec

from cluster.dispatch.request import Request, Waited
from models_registry.fallback import due
from ollamamax import logs
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import Cause, Fallback
from ollamamax.gateway import catalog, http
from ollamamax.gateway.execution import Call, EngineError
from ollamamax.gateway.http import Receive, Send
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.principal import Principal

ROUTES = frozenset(
    {
        *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"),
        "/v1/rerank",
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
    }
)
"""Those that run a model. What only asks about one, or changes it, is meant for that one."""
HEADER = b"x-ollamamax-fallback"
_NO_CAPACITY = frozenset({"overloaded", "unavailable"})
_NOT_YET = -1.0
_NOT_THE_ENGINE = frozenset({"deadline_exceeded", "cancelled", "unsupported"})
_log = logs.get(__name__)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decode_name = msgspec.json.Decoder(str).decode

Message = MutableMapping[str, Any]
Run = Callable[[Call, Receive, Send], Awaitable[None]]


class Answer(Protocol):
    """`Send` that knows whether something was sent; until then ``kept`` holds the parts of the request's body."""

    begun: bool
    kept: list[bytes]

    async def __call__(self, message: Message) -> None: ...


def cause_of(error: errors.OllamaMaxError) -> Cause | None:
    """Which cause an error is; ``None`` for one that another model would not change."""
    if error.code == errors.ContextTooLong.code:
        return "context_too_long"
    if error.code in _NO_CAPACITY:
        return "no_capacity"
    if isinstance(error, EngineError) and error.status >= 500 and error.code not in _NOT_THE_ENGINE:
        return "engine_error"
    return None


async def with_fallbacks(service: Service, call: Call, receive: Receive, answer: Answer, run: Run) -> None:
    """``run`` the request; when it fails for a cause that a fallback of its model serves, run it with that one.

    Raises what the first run raised when no fallback could serve it either. Each run is a request of its own, with its
    own record; they share their trace and their deadline.
    """
    directory = service.directory
    call = msgspec.structs.replace(call, tried_until=_NOT_YET)
    try:
        await _first(service, call, receive, answer, run)
    except errors.OllamaMaxError as error:
        first, cause = error, cause_of(error)
        if cause is None or answer.begun or not call.may_fall_back:
            raise
        if call.idle_only and cause == "no_capacity":
            raise  # whoever takes only what is idle waits for it
    else:
        return
    request = _object(answer)
    name = _decode_name(request["model"])
    listed = catalog.resolve(directory, call.principal, name)
    tried = {listed.alias_of or catalog.full_name(name)}
    hops: list[str] = []
    left = list(listed.fallbacks)
    while (chosen := _next(directory, call.principal, left, cause, tried)) is not None:
        hops.append(f"{name};{cause}")
        _log.info("fallback", request=call.id, model=name, cause=cause, to=chosen)
        call, name = msgspec.structs.replace(call, id=new_id(), tried_until=None), chosen
        request["model"] = msgspec.Raw(msgspec.json.encode(name))
        try:
            await run(call, _replay(msgspec.json.encode(request), receive), _tell(answer, ", ".join(hops)))
        except errors.OllamaMaxError as error:
            if answer.begun:
                raise
            _log.info("fallback_failed", request=call.id, model=name, code=error.code)
            cause = cause_of(error) or cause
        else:
            return
    raise first


async def _first(service: Service, call: Call, receive: Receive, answer: Answer, run: Run) -> None:
    """With its own model, or with another while it waits for a slot of that."""
    source = _keeping(receive, answer)
    place: Request | None = None
    try:
        while True:
            try:
                await run(call, source, answer)
            except Waited as waited:
                place = waited.request
                if await _meanwhile(service, call, waited, receive, answer, run):
                    return
                # One that took its place and failed before it said anything has a record; who joins again is another request.
                call = msgspec.structs.replace(call, tried_until=waited.seconds, kept=place)
                if place.kept is None:
                    call.id, call.kept = new_id(), None
                source = _replay(b"".join(answer.kept), receive)
            else:
                return
    except BaseException as error:
        if place is not None:
            code, status = "client_gone", 499
            if isinstance(error, errors.OllamaMaxError):
                code, status = error.code, error.status
            service.dispatcher.give_up(place, code, status)
        raise


async def _meanwhile(service: Service, call: Call, waited: Waited, receive: Receive, answer: Answer, run: Run) -> bool:
    """Run a request that waits with one of those whose time has come. Whether it was answered."""
    place = waited.request
    request = _object(answer)
    name = _decode_name(request["model"])
    listed = catalog.resolve(service.directory, call.principal, name)
    tried = {listed.alias_of or catalog.full_name(name)}
    left = due(listed.fallbacks, waited.seconds)
    while place.waits and (chosen := _next(service.directory, call.principal, left, "no_capacity", tried)) is not None:
        instead = msgspec.structs.replace(call, id=new_id(), tried_until=None, kept=None, instead_of=place)
        request["model"] = msgspec.Raw(msgspec.json.encode(chosen))
        body = msgspec.json.encode(request)
        try:
            await run(instead, _replay(body, receive), _tell(answer, f"{name};no_capacity"))
        except errors.OllamaMaxError as error:
            if answer.begun:
                raise
            _log.info("fallback_failed", request=instead.id, model=chosen, code=error.code)
        else:
            _log.info("fallback", request=call.id, model=name, cause="waited", to=chosen)
            return True
    return False


def _next(directory: Directory, acting: Principal, left: list[Fallback], cause: Cause, tried: set[str]) -> str | None:
    """The next of ``left`` that serves the cause, is there, and was not tried; it and those before it are taken away."""
    while left:
        fallback = left.pop(0)
        if cause not in fallback.causes:
            continue
        try:
            stands_for = catalog.resolve(directory, acting, fallback.model).alias_of or fallback.model
        except errors.ModelNotFound:
            continue
        if stands_for not in tried:
            tried.add(stands_for)
            return fallback.model
    return None


def _object(answer: Answer) -> dict[str, msgspec.Raw]:
    return http.decode(_objects, b"".join(answer.kept))


def _keeping(more: Receive, answer: Answer) -> Receive:
    async def receive() -> Message:
        message = await more()
        if not answer.begun and message["type"] == "http.request":
            answer.kept.append(message.get("body", b""))
        return message

    return receive


def _replay(body: bytes, more: Receive) -> Receive:
    """``body``, and after it what the client still sends."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return await more()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _tell(answer: Answer, hops: str) -> Send:
    """Say in a header which model was left for what, in order."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (HEADER, hops.encode())]
        await answer(message)

    return send
