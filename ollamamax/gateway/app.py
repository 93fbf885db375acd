"""The inference gateway: an ASGI application of its own, without Django and without the database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from cluster.dispatch.admission import Bounds, RateLimited
from cluster.dispatch.dispatcher import Dispatcher
from ollamamax import logs
from ollamamax.bus.directory import Directory
from ollamamax.contract import tables
from ollamamax.contract.tables import KnownTenant
from ollamamax.gateway import fallback, http, intake, packed, paths, rate_limits, request_headers
from ollamamax.gateway.anthropic import endpoints as anthropic
from ollamamax.gateway.anthropic import responses as anthropic_responses
from ollamamax.gateway.callers import REVOKED, Caller, Callers
from ollamamax.gateway.execution import Call
from ollamamax.gateway.front import allowed
from ollamamax.gateway.held import Body, Held
from ollamamax.gateway.http import ClientGone, Receive, Scope, Send
from ollamamax.gateway.intake import Flooded, Intake, Place
from ollamamax.gateway.ollama import embed, memory
from ollamamax.gateway.ollama import endpoints as ollama
from ollamamax.gateway.ollama import responses as ollama_responses
from ollamamax.gateway.ollama.show import show
from ollamamax.gateway.openai import endpoints as openai
from ollamamax.gateway.openai import response
from ollamamax.gateway.openai import responses as openai_responses
from ollamamax.gateway.openai.completions import completions
from ollamamax.gateway.openai.embeddings import embeddings
from ollamamax.gateway.openai.keeping import Keeping
from ollamamax.gateway.openai.rerank import rerank
from ollamamax.gateway.pace import Pace
from ollamamax.gateway.relay import TooSlow
from ollamamax.gateway.service import Service
from ollamamax.gateway.turns import Turns
from ollamamax.identity import access
from ollamamax.identity.access import Checked, Identified
from ollamamax.kernel import errors, heap, trace
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

_log = logs.get(__name__)

Endpoint = Callable[[Service, Call, Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Protocol:
    """How a protocol says that something went wrong, before and after its stream began."""

    error_body: Callable[[errors.OllamaMaxError], bytes]
    error_event: Callable[[errors.OllamaMaxError], bytes]
    key_header: bytes | None = None
    """A header that may hold the key, for clients that send no ``Authorization``."""


ANTHROPIC = Protocol(anthropic_responses.error_body, anthropic_responses.error_event, b"x-api-key")
OPENAI = Protocol(openai_responses.error_body, openai_responses.error_event)
RESPONSES = Protocol(openai_responses.error_body, response.error_event)
OLLAMA = Protocol(ollama_responses.error_body, ollama_responses.error_event)


@dataclass(frozen=True)
class Route:
    """Every route needs an API key that has ``permission``: one of `ROUTES` on the model that is named, any other in its tenant."""

    method: str
    endpoint: Endpoint
    protocol: Protocol
    permission: str = "inference.use"


MoreRoutes = Callable[[str, str], Route | None]
"""Method and path to a route of another context; its own method may differ, and is then told to the client."""

ROUTES: dict[str, Route] = {
    "/v1/chat/completions": Route("POST", openai.chat_completions, OPENAI),
    "/v1/responses": Route("POST", response.responses, RESPONSES),
    "/v1/responses/input_tokens": Route("POST", response.input_tokens, OPENAI),
    "/v1/messages": Route("POST", anthropic.messages, ANTHROPIC),
    "/v1/messages/count_tokens": Route("POST", anthropic.count_tokens, ANTHROPIC),
    "/v1/completions": Route("POST", completions, OPENAI),
    "/v1/embeddings": Route("POST", embeddings, OPENAI),
    "/v1/rerank": Route("POST", rerank, OPENAI),
    "/v1/models": Route("GET", openai.models, OPENAI),
    "/v1/models/{model}": Route("GET", openai.model, OPENAI),
    "/api/chat": Route("POST", ollama.chat, OLLAMA),
    "/api/generate": Route("POST", ollama.generate, OLLAMA),
    "/api/embed": Route("POST", embed.embed, OLLAMA),
    "/api/embeddings": Route("POST", embed.embeddings, OLLAMA),
    "/api/ps": Route("GET", memory.ps, OLLAMA),
    "/api/show": Route("POST", show, OLLAMA),
    "/api/tags": Route("GET", ollama.tags, OLLAMA),
    "/api/version": Route("GET", ollama.version, OLLAMA),
}

ANTHROPICS: dict[str, Route] = {
    "/v1/models": Route("GET", anthropic.models, ANTHROPIC),
    "/v1/models/{model}": Route("GET", anthropic.model, ANTHROPIC),
}
"""Paths that two protocols have, for programs of Anthropic's."""

_METHODS = ("GET", "POST", "DELETE")
_LAST_REQUESTS = 2.0
"""Seconds that a stop waits for them."""
_LAST_WORDS = 1.0
"""Seconds that a client whose key was revoked has to take the error, where it may be taking nothing."""
_START_PATIENCE = 5.0
"""Seconds that a request, or the server, waits for a gateway that starts."""
_LAST_OF_BODY = 1.0
"""Seconds that the rest of a short body has to arrive, of a request that is refused and its connection closed."""
_UNTOLD = KnownTenant()
"""A tenant of which nothing was published yet."""


class _Response:
    """`send`, remembering how far the response is; until an answer has begun, what was read of the request's body.

    A client that waits has the head and signs of life before anything of an answer. A second head (of another model, which
    answers in the first one's stead) is left out then.
    """

    __slots__ = ("_place", "_send", "begun", "headed", "kept")

    def __init__(self, send: Send, place: Place | None = None) -> None:
        self._send = send
        self._place = place
        self.headed = False
        """The head is out: what goes wrong can only be told in the body."""
        self.begun = False
        """Something of an answer is out."""
        self.kept: list[bytes] = []

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if not message.pop(http.SIGN, False) and not self.begun:
            self.begun = True
            self.kept.clear()
            if self._place is not None:
                self._place.leave()
        if message["type"] == "http.response.start":
            if self.headed:
                return
            self.headed = True
        await self._send(message)


class Gateway:
    """One per process. Starts with the server's lifespan, or with the first request where the server has none.

    ``intake``: requests of one tenant that may be taken in at once, besides as many as may wait for a slot.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        max_body: int,
        deadline: float,
        bounds: Bounds,
        intake: int = 1024,
        region: str = "",
        more_routes: MoreRoutes = lambda method, path: None,
        keeping: Keeping | None = None,
    ) -> None:
        self._redis_url = redis_url
        self._max_body = max_body
        self._deadline = deadline
        self._bounds = bounds
        self._region = region
        self._more_routes = more_routes
        self._keeping = keeping
        self._service: Service | None = None
        self._callers = Callers()
        self._started: asyncio.Task[Service] | None = None
        self._starting = asyncio.Lock()
        self._turns = Turns(pace=Pace())
        self._intake = Intake(intake + bounds.waiting_of_tenant)
        self._held = Held(bounds.bytes, bounds.bytes_of_tenant)
        self._open = 0
        self._quiet = asyncio.Event()

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path belongs to the inference APIs, or is one by which somebody means one of their routes."""
        return paths.is_ours(path) or paths.suggested(path, ROUTES) is not None

    def methods(self, path: str) -> list[str]:
        """Which methods a path has; none when there is no such path."""
        if (route := _route(path)) is not None:
            return [route.method]
        each = ((method, self._more_routes(method, path)) for method in _METHODS)
        return [method for method, more in each if more is not None and more.method == method]

    async def directory(self) -> Directory:
        """The directory in this process's memory, for others that need it."""
        return (self._service or await self.start()).directory

    async def begin(self) -> None:
        """Start, with the server that it belongs to: where it takes longer the server begins all the same, and says so."""
        with contextlib.suppress(errors.Unavailable):
            await self.start()

    async def start(self) -> Service:
        """What endpoints share, as soon as there is one. Raises `Unavailable` when that takes too long; the start goes on."""
        if self._service is not None:
            return self._service
        if self._started is None or (self._started.done() and not self._starts_well()):
            self._started = asyncio.create_task(self._start(), name="gateway start")
        try:
            async with asyncio.timeout(_START_PATIENCE):
                return await asyncio.shield(self._started)
        except TimeoutError:
            raise errors.Unavailable(
                "This gateway is starting, and Redis does not answer it yet.", retry_after=2
            ) from None

    def _starts_well(self) -> bool:
        task = self._started
        return task is not None and not task.cancelled() and task.exception() is None

    async def problems(self) -> dict[str, str]:
        """What of this process does not work now, by name of the part; nothing while it would serve."""
        try:
            service = self._service or await self.start()  # not every server has a lifespan
        except errors.Unavailable as error:
            return {"gateway": error.message}
        found = service.directory.problems() | service.dispatcher.background.problems()
        if not found and (trouble := await service.dispatcher.trouble_of_redis()):
            found["redis"] = trouble
        return found

    async def _start(self) -> Service:
        async with self._starting:
            if self._service is None:
                directory = Directory(self._redis_url, tables.ALL)
                await directory.start()
                await directory.wait_loaded()
                dispatcher = Dispatcher(self._redis_url, directory, self._bounds, self._region)
                await dispatcher.start()
                self._callers.follow(directory)
                dispatcher.background.run("memory", heap.stay_tidy)
                self._service = Service(directory, dispatcher, self._max_body, self._deadline, self._keeping)
                _log.info("gateway_started", gateway=dispatcher.id)
            return self._service

    async def stop(self) -> None:
        # Not every server waits until all requests have returned, and each has still to be settled.
        self._quiet.clear()
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_REQUESTS):
                    await self._quiet.wait()
        if self._started is not None:
            await end([self._started])
        if self._service is not None:
            service, self._service = self._service, None
            await service.dispatcher.stop()
            await service.directory.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send)

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, inside: Identified | None = None, idle_only: bool = True
    ) -> None:
        """One request. ``inside`` is the key it is made with, when this process itself makes it: no header is looked at,
        and it takes none but idle slots, unless ``idle_only`` says otherwise."""
        self._open += 1
        place: Place | None = None
        checked: Checked | None = None
        connection: http.Owner | None = None
        try:
            if inside is not None:
                owner = inside.key.tenant
            else:
                if self._service is not None:
                    checked = access.check(_authorization(scope, ANTHROPIC), self._service.directory)
                owner = intake.owner_of(scope, checked)
                connection = scope.get(http.OWNER)
                if connection is not None:
                    connection.name = owner
                place = self._intake.enter(owner)
                if place is None:
                    if connection is None:  # who reads in turns lets few come to here at once
                        await self._turns.begin(intake.REFUSED, asks=False)
                    await self._refuse(scope, receive, send)
                    return
            await self._turns.begin(owner, asks=checked is not None, connection=connection)
            await self._serve(scope, receive, send, inside, idle_only, place, checked)
        except ClientGone:
            return  # while it waited for its turn; later ones are told in the log
        finally:
            if place is not None:
                place.leave()
            self._open -= 1
            if not self._open:
                self._quiet.set()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One of too many."""
        closes = scope.get("http_version") == "1.1" and intake.is_small(scope)
        if closes:
            with contextlib.suppress(ClientGone, errors.TooLarge, TimeoutError):
                async with asyncio.timeout(_LAST_OF_BODY):
                    await http.read_body(scope, receive, intake.SMALL)
        path: str = scope["path"]
        own = _route(path, scope)
        route = own or self._more_routes(scope["method"], path)
        error = Flooded(self._intake.most, closes=closes)
        traceparent = trace.child(http.header(scope, b"traceparent"))
        await _explain(_Response(send), route.protocol if route else _protocol(path), error, new_id(), traceparent)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        inside: Identified | None,
        idle_only: bool,
        place: Place | None,
        checked: Checked | None,
    ) -> None:
        received_at = time.time()
        answer = _Response(send, place)
        http.remember_encodings(scope)
        path: str = scope["path"]
        own = _route(path, scope)
        route = own or self._more_routes(scope["method"], path)
        protocol = route.protocol if route else _protocol(path)
        call: Call | None = None
        caller: Caller | None = None
        body: Body | None = None
        traceparent = trace.child(http.header(scope, b"traceparent"))
        request = new_id()
        try:
            service = self._service or await self.start()
            if route is None:
                raise errors.NotFound(paths.explained(path, paths.suggested(path, ROUTES)))
            if scope["method"] != route.method:
                raise _MethodNotAllowed(self.methods(path))
            if inside is None:
                given = _authorization(scope, protocol)
                somewhere = own is not None
                known = await access.identify(
                    given, service.directory, route.permission, checked=checked, somewhere=somewhere
                )
            else:
                known = inside
                access.principal_of(known.key, route.permission, somewhere=own is not None)
            key = known.key
            caller = self._callers.enter(known, route.permission)
            if inside is None:
                body = scope[http.HELD] = self._held.body(key.tenant)
            tenant = service.directory.get(tables.TENANTS, key.tenant) or _UNTOLD
            call = Call(
                known.principal,
                path,
                received_at,
                traceparent,
                request,
                tenant=tenant,
                limits=key.limits,
                priority="low" if inside is not None and idle_only else request_headers.priority(scope, key),
                idle_only=inside is not None and idle_only,
                timeout=request_headers.timeout(scope),
                strict=request_headers.strict(scope)
                or (tenant.strict_fields if key.strict_fields is None else key.strict_fields),
                caller=caller,
                place=place,
            )
            if path in fallback.ROUTES:
                endpoint = route.endpoint

                async def run(call: Call, receive: Receive, send: Send) -> None:
                    await endpoint(service, call, scope, receive, send)

                await fallback.with_fallbacks(service, call, receive, answer, run)
            else:
                await route.endpoint(service, call, scope, receive, answer)
        except TooSlow as error:
            _log.warning("client_too_slow", request=request, api=path, error=error.message)
        except ClientGone:
            _log.info("client_gone", request=request, api=path)
        except errors.OllamaMaxError as error:
            self._callers.leave(caller)  # what is explained is not to be cut off
            await _explain(answer, protocol, error, request, traceparent)
        except asyncio.CancelledError:
            if caller is None or not caller.is_revoked:
                raise
            self._callers.leave(caller)
            await _tell_revoked(answer, protocol, request, traceparent)
        except Exception:  # noqa: BLE001 - the last line: the client gets an answer, the log gets the trace
            _log.exception("request_broke", request=request, api=path)
            self._callers.leave(caller)
            problem = errors.OllamaMaxError("Something broke in this server; the log has the details.")
            await _explain(answer, protocol, problem, request, traceparent)
        finally:
            if body is not None:
                body.leave()
            if call is not None and call.ignored:
                _log.info("fields_ignored", request=request, api=path, fields=list(call.ignored))
            self._callers.leave(caller)


async def _tell_revoked(response: _Response, protocol: Protocol, request: str, traceparent: str) -> None:
    """To one that was cancelled because its key does not work any more, if it takes that in time."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
    error = errors.Unauthenticated(REVOKED.message)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await _explain(response, protocol, error, request, traceparent)


def _route(path: str, scope: Scope | None = None) -> Route | None:
    """Of the gateway's own; one model's address ends in its name."""
    if path.startswith("/v1/models"):
        known = ANTHROPICS if scope is not None and anthropic.is_meant(scope) else ROUTES
        return known.get(path) or (known["/v1/models/{model}"] if path.startswith("/v1/models/") else None)
    return ROUTES.get(path)


def _protocol(path: str) -> Protocol:
    """In whose form it is told that there is no such path."""
    meant = paths.suggested(path, ROUTES)
    if meant is not None:
        return ROUTES[meant].protocol
    return OLLAMA if path.startswith("/api") else OPENAI


def _authorization(scope: Scope, protocol: Protocol) -> str | None:
    given = http.header(scope, b"authorization")
    if given is None and protocol.key_header and (key := http.header(scope, protocol.key_header)):
        return f"Bearer {key}"
    return given


class _MethodNotAllowed(errors.OllamaMaxError):
    code = "method_not_allowed"
    status = 405

    def __init__(self, methods: list[str]) -> None:
        super().__init__(f"Only {' and '.join(methods)} {'is' if len(methods) == 1 else 'are'} allowed here.")
        self.allowed = allowed(methods)


async def _explain(
    response: _Response, protocol: Protocol, error: errors.OllamaMaxError, request: str, traceparent: str
) -> None:
    if response.headed:
        await http.finish(response, protocol.error_event(error))
        return
    headers = [(b"x-request-id", request.encode()), (b"traceparent", traceparent.encode())]
    if protocol is ANTHROPIC:
        headers.append((b"request-id", request.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, _MethodNotAllowed):
        headers.append((b"allow", error.allowed))
    if isinstance(error, RateLimited) and error.levels:
        api = rate_limits.ANTHROPIC if protocol is ANTHROPIC else ""
        headers += rate_limits.headers(error.levels, api, time.time())
    if isinstance(error, Flooded) and error.closes:
        headers.append((b"connection", b"close"))
    if isinstance(error, packed.UnsupportedEncoding):
        headers.append((b"accept-encoding", packed.ENCODINGS))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    await http.respond(response, error.status, protocol.error_body(error), headers)
