"""The inference gateway: an ASGI application of its own, without Django and without the database."""

from __future__ import annotations

import asyncio
import contextlib
import time

from cluster.dispatch.admission import Bounds
from cluster.dispatch.dispatcher import Dispatcher
from ollamamax import logs
from ollamamax.bus.directory import Directory
from ollamamax.contract import tables
from ollamamax.contract.tables import KnownTenant
from ollamamax.gateway import fallback, http, intake, paths, request_headers
from ollamamax.gateway.callers import REVOKED, Caller, Callers
from ollamamax.gateway.client_response import ClientResponse, MethodNotAllowed, explain
from ollamamax.gateway.ending import Ending, Refusals
from ollamamax.gateway.execution import Call
from ollamamax.gateway.held import Body, Held
from ollamamax.gateway.http import ClientGone, Receive, Scope, Send
from ollamamax.gateway.intake import Flooded, Intake, Place
from ollamamax.gateway.openai.keeping import Keeping
from ollamamax.gateway.pace import Pace
from ollamamax.gateway.relay import TooSlow
from ollamamax.gateway.routes import (
    ANTHROPIC,
    ROUTES,
    MoreRoutes,
    Protocol,
    Route,
    authorization,
    find_route,
    protocol_of,
)
from ollamamax.gateway.service import Service
from ollamamax.gateway.turns import Turns
from ollamamax.identity import access
from ollamamax.identity.access import Checked, Identified
from ollamamax.kernel import errors, heap, trace
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

_log = logs.get(__name__)

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


class _ClientLeft(errors.OllamaMaxError):
    """The client closed its connection before it had its answer."""

    code = "client_gone"
    status = 499


class Gateway:
    """One per process. Starts with the server's lifespan, or with the first request where the server has none.

    ``intake``: requests of one tenant that may be taken in at once, besides as many as may wait for a slot. ``recorded_refusals``:
    refused requests of one tenant that are recorded in a minute.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        max_body: int,
        deadline: float,
        bounds: Bounds,
        intake: int = 1024,
        recorded_refusals: int = 600,
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
        self._refusals = Refusals(recorded_refusals)
        self._open = 0
        self._quiet = asyncio.Event()

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path belongs to the inference APIs, or is one by which somebody means one of their routes."""
        return paths.is_ours(path) or paths.suggested(path, ROUTES) is not None

    def methods(self, path: str) -> list[str]:
        """Which methods a path has; none when there is no such path."""
        if (route := find_route(path)) is not None:
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
                    checked = access.check(authorization(scope, ANTHROPIC), self._service.directory)
                owner = intake.owner_of(scope, checked)
                connection = scope.get(http.OWNER)
                if connection is not None:
                    connection.name = owner
                place = self._intake.enter(owner)
                if place is None:
                    if connection is None:  # who reads in turns lets few come to here at once
                        await self._turns.begin(intake.REFUSED, asks=False)
                    await self._refuse(scope, receive, send, checked)
                    return
            try:
                await self._turns.begin(owner, asks=checked is not None, connection=connection)
            except ClientGone:
                *_, ending = self._arrived(scope, checked)
                ending.error = _ClientLeft("The client closed the connection before its turn.")
                ending.finish(0)
                return
            await self._serve(scope, receive, send, inside, idle_only, place, checked)
        except ClientGone:
            return  # while it was told an error; the request has ended already
        finally:
            if place is not None:
                place.leave()
            self._open -= 1
            if not self._open:
                self._quiet.set()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, checked: Checked | None) -> None:
        """One of too many."""
        closes = scope.get("http_version") == "1.1" and intake.is_small(scope)
        if closes:
            with contextlib.suppress(ClientGone, errors.TooLarge, TimeoutError):
                async with asyncio.timeout(_LAST_OF_BODY):
                    await http.read_body(scope, receive, intake.SMALL)
        *_, protocol, ending = self._arrived(scope, checked)
        response = ClientResponse(send)
        error = Flooded(self._intake.most, closes=closes)
        try:
            await explain(response, protocol, error, ending.request, ending.traceparent, ending.refused(error))
        finally:
            ending.finish(response.status)

    def _arrived(self, scope: Scope, checked: Checked | None) -> tuple[Route | None, bool, Protocol, Ending]:
        """What it asks for, whether that is the gateway's own, in whose form it is answered, and what is known of it. ``checked``: a good key, of whose tenant it is."""
        path: str = scope["path"]
        route, api = find_route(path, scope), path
        is_own = route is not None
        if route is None and (route := self._more_routes(scope["method"], path)) is not None:
            api = "/".join(path.split("/", 3)[:3])
        elif route is None:
            api = "other"
        elif path not in ROUTES:
            api = "/v1/models/{model}"
        traceparent = trace.child(http.header(scope, b"traceparent"))
        ending = Ending(new_id(), api, traceparent, time.time(), self._refusals)
        if self._service is not None:
            ending.dispatcher = self._service.dispatcher
        if checked is not None:
            ending.tenant, ending.key = checked.key.tenant, checked.key.id
        return route, is_own, route.protocol if route else protocol_of(path), ending

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
        answer = ClientResponse(send, place)
        http.remember_encodings(scope)
        route, is_own, protocol, ending = self._arrived(scope, checked)
        ending.inside = inside is not None
        caller: Caller | None = None
        body: Body | None = None
        try:
            service = self._service or await self.start()
            ending.dispatcher = service.dispatcher
            if route is None:
                raise errors.NotFound(paths.explained(scope["path"], paths.suggested(scope["path"], ROUTES)))
            if scope["method"] != route.method:
                raise MethodNotAllowed(self.methods(scope["path"]))
            if inside is None:
                known = await access.identify(
                    authorization(scope, protocol),
                    service.directory,
                    route.permission,
                    checked=checked,
                    somewhere=is_own,
                )
            else:
                known = inside
                access.principal_of(known.key, route.permission, somewhere=is_own)
            caller = self._callers.enter(known, route.permission)
            if inside is None:
                body = scope[http.HELD] = self._held.body(known.key.tenant)
            call = self._call(scope, known, caller, ending, place, idle_only=inside is not None and idle_only)
            if scope["path"] in fallback.ROUTES:
                endpoint = route.endpoint

                async def run(call: Call, receive: Receive, send: Send) -> None:
                    await endpoint(service, call, scope, receive, send)

                await fallback.with_fallbacks(service, call, receive, answer, run)
            else:
                await route.endpoint(service, call, scope, receive, answer)
        except TooSlow as error:
            ending.error = error
        except ClientGone:
            ending.error = _ClientLeft("The client closed the connection.")
        except errors.OllamaMaxError as error:
            self._callers.leave(caller)  # what is explained is not to be cut off
            await self._explain(answer, protocol, error, ending)
        except asyncio.CancelledError:
            if caller is None or not caller.is_revoked:
                ending.error = _ClientLeft("The request was cancelled.")
                raise
            self._callers.leave(caller)
            await self._tell_revoked(answer, protocol, ending)
        except Exception:  # noqa: BLE001 - the last line: the client gets an answer, the log gets the trace
            _log.exception("request_broke", request=ending.request, api=ending.api)
            self._callers.leave(caller)
            problem = errors.OllamaMaxError("Something broke in this server; the log has the details.")
            await self._explain(answer, protocol, problem, ending)
        finally:
            if body is not None:
                body.leave()
            self._callers.leave(caller)
            ending.finish(answer.status)

    def _call(
        self, scope: Scope, known: Identified, caller: Caller, ending: Ending, place: Place | None, *, idle_only: bool
    ) -> Call:
        """What its key, its tenant and its headers say. Raises `InvalidRequest`, and `Forbidden` for a priority above its key's."""
        assert self._service is not None  # noqa: S101 - started before
        key = known.key
        ending.tenant, ending.key, ending.requests = key.tenant, key.id, caller.requests
        tenant = self._service.directory.get(tables.TENANTS, key.tenant) or _UNTOLD
        ending.priority = "low" if idle_only else request_headers.priority(scope, key)
        return Call(
            known.principal,
            scope["path"],
            ending.received_at,
            ending.traceparent,
            ending.request,
            ending=ending,
            tenant=tenant,
            limits=key.limits,
            priority=ending.priority,
            highest=key.priority,
            idle_only=idle_only,
            timeout=request_headers.timeout(scope),
            strict=request_headers.strict(scope)
            or (tenant.strict_fields if key.strict_fields is None else key.strict_fields),
            ignored=ending.ignored,
            caller=caller,
            place=place,
        )

    async def _explain(
        self, answer: ClientResponse, protocol: Protocol, error: errors.OllamaMaxError, ending: Ending
    ) -> None:
        more = ending.refused(error, begun=answer.begun)
        await explain(answer, protocol, error, ending.request, ending.traceparent, more)

    async def _tell_revoked(self, answer: ClientResponse, protocol: Protocol, ending: Ending) -> None:
        """To one that was cancelled because its key does not work any more, if it takes that in time."""
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._explain(answer, protocol, errors.Unauthenticated(REVOKED.message), ending)
