"""The inference gateway: an ASGI application of its own, without Django and without the database."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Coroutine
from typing import Any

from cluster.dispatch.admission import Bounds
from cluster.dispatch.dispatcher import Dispatcher
from ollamamax import logs
from ollamamax.bus.directory import Directory
from ollamamax.contract import tables
from ollamamax.contract.tables import KnownTenant
from ollamamax.gateway import http, intake, measuring, paths, request_headers
from ollamamax.gateway.body_memory import HeldBytes
from ollamamax.gateway.call import Call
from ollamamax.gateway.callers import REVOKED, Callers
from ollamamax.gateway.client_response import ClientResponse, MethodNotAllowed, explain
from ollamamax.gateway.ending import Ending, Refusals
from ollamamax.gateway.http import ClientGone, Receive, Scope, Send
from ollamamax.gateway.intake import Flooded, Intake, Place
from ollamamax.gateway.openai.keeping import Keeping
from ollamamax.gateway.pace import Pace
from ollamamax.gateway.relay import TooSlow
from ollamamax.gateway.routes import (
    ANTHROPIC,
    ROUTES,
    GatewayRoute,
    MoreRoutes,
    Protocol,
    authorization,
    find_route,
    protocol_of,
)
from ollamamax.gateway.run import Exchange
from ollamamax.gateway.service import Service
from ollamamax.gateway.shadow import Shadows
from ollamamax.gateway.starting_turns import Turns
from ollamamax.gateway.whole_response import Inside, MeasuredAnswer, WholeResponse
from ollamamax.identity import access
from ollamamax.identity.access import Checked, Identified, Where
from ollamamax.kernel import errors, heap, trace
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.reach import require_route
from ollamamax.kernel.tasks import end
from ollamamax.observability import event_loop_lag

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
    """One per process, with the process's copy of the ``directory``, which it starts and the process stops. Starts with the server's
    lifespan, or with the first request where the server has none.

    ``intake``: requests of one tenant that may be taken in at once, besides as many as may wait for a slot. ``recorded_refusals``:
    refused requests of one tenant that are recorded in a minute.
    """

    def __init__(
        self,
        directory: Directory,
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
        self.directory = directory
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
        self._held = HeldBytes(bounds.bytes, bounds.bytes_of_tenant)
        self._refusals = Refusals(recorded_refusals)
        self._open = 0
        self._unshow: Callable[[], None] = lambda: None
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
                directory = await self.directory.ready()
                dispatcher = Dispatcher(self._redis_url, directory, self._bounds, self._region)
                await dispatcher.start()
                self._callers.follow(directory)
                dispatcher.background.run("memory", heap.stay_tidy)
                dispatcher.background.run("event loop lag", event_loop_lag.measure_for_ever)
                self._unshow = measuring.show(
                    dispatcher,
                    lambda: self._open,
                    lambda: len(directory.problems() | dispatcher.background.problems()),
                )
                shadows = Shadows(dispatcher, self._callers, self._deadline)
                self._service = Service(directory, dispatcher, self._max_body, self._deadline, shadows, self._keeping)
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
            self._unshow()
            await service.shadows.stop()
            await service.dispatcher.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of a client."""
        self._open += 1
        place: Place | None = None
        checked: Checked | None = None
        try:
            if self._service is not None:
                checked = access.check(authorization(scope, ANTHROPIC), self._service.directory)
            owner = intake.owner_of(scope, checked)
            connection: http.Owner | None = scope.get(http.OWNER)
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
            await self._serve(scope, ClientResponse(send, receive, place), receive, place, checked)
        except ClientGone:
            return  # while it was told an error; the request has ended already
        finally:
            if place is not None and not place.left:
                place.leave()
            self._open -= 1
            if not self._open:
                self._quiet.set()

    async def ask(
        self, known: Identified, path: str, body: bytes, *, idle_only: bool = True, exact: bool = False
    ) -> WholeResponse:
        """Ask one of the routes that run a model, from inside this process, with the key ``known``. Cancelling the task is as a client
        that leaves. ``idle_only``: it takes slots that nobody waits for, or none; else it waits its turn in the queue. ``exact``: as in `Call`.
        """
        self._open += 1
        route = ROUTES[path]
        traceparent = trace.child(None)
        ending = Ending(new_id(), path, traceparent, time.time(), self._refusals)
        ending.inside, ending.tenant, ending.key = True, known.key.tenant, known.key.id
        client = Inside()
        try:
            await self._ended(self._ask(known, route, body, client, ending, idle_only, exact), ending)
        finally:
            self._open -= 1
            if not self._open:
                self._quiet.set()
            ending.finish(200 if client.response is not None else 0)
        if (error := ending.error) is not None or client.response is None:
            error = error or errors.OllamaMaxError("Nothing was answered.")
            return WholeResponse(error.status, ending.request, error.retry_after, route.protocol.error_body(error))
        return dataclasses.replace(client.response, measured=MeasuredAnswer.of(ending.requests))

    async def _ask(
        self,
        known: Identified,
        route: GatewayRoute,
        body: bytes,
        client: Inside,
        ending: Ending,
        idle_only: bool,
        exact: bool,
    ) -> None:
        service = self._service or await self.start()
        ending.dispatcher = service.dispatcher
        access.principal_of(known.key, route.permission, somewhere=True)
        require_route(known.key.reach, ending.api)
        assert isinstance(route.endpoint, Exchange)  # noqa: S101 - of those that run a model
        call = self._call(service, known, route, ending, None)
        call.idle_only, call.exact = idle_only, exact
        call.priority = "low" if idle_only or known.key.priority == "low" else "normal"
        await route.endpoint(service, call, body, client)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, checked: Checked | None) -> None:
        """One of too many."""
        closes = scope.get("http_version") == "1.1" and intake.is_small(scope)
        if closes:
            with contextlib.suppress(ClientGone, errors.TooLarge, TimeoutError):
                async with asyncio.timeout(_LAST_OF_BODY):
                    await http.read_body(scope, receive, intake.SMALL)
        *_, protocol, ending = self._arrived(scope, checked)
        response = ClientResponse(send, receive)
        error = Flooded(self._intake.most, closes=closes)
        try:
            await explain(response, protocol, error, ending.request, ending.traceparent, ending.refused(error))
        finally:
            ending.finish(response.status)

    def _arrived(self, scope: Scope, checked: Checked | None) -> tuple[GatewayRoute | None, bool, Protocol, Ending]:
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
        parent = http.header(scope, b"traceparent")
        traceparent = trace.child(parent)
        ending = Ending(new_id(), api, traceparent, time.time(), self._refusals)
        ending.parent = parent
        if self._service is not None:
            ending.dispatcher = self._service.dispatcher
        if checked is not None:
            ending.tenant, ending.key = checked.key.tenant, checked.key.id
        return route, is_own, route.protocol if route else protocol_of(path), ending

    async def _serve(
        self, scope: Scope, response: ClientResponse, receive: Receive, place: Place, checked: Checked | None
    ) -> None:
        http.remember_encodings(scope)
        route, is_own, protocol, ending = self._arrived(scope, checked)
        try:
            patience = await self._ended(
                self._answer(scope, response, receive, place, checked, route, protocol, is_own, ending), ending
            )
            if ending.error is not None and not isinstance(ending.error, _ClientLeft | TooSlow):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._explain(response, protocol, ending.error, ending)
        finally:
            ending.finish(response.status)

    async def _answer(
        self,
        scope: Scope,
        response: ClientResponse,
        receive: Receive,
        place: Place,
        checked: Checked | None,
        route: GatewayRoute | None,
        protocol: Protocol,
        is_own: bool,
        ending: Ending,
    ) -> None:
        service = self._service or await self.start()
        ending.dispatcher = service.dispatcher
        if route is None:
            raise errors.NotFound(paths.explained(scope["path"], paths.suggested(scope["path"], ROUTES)))
        if scope["method"] != route.method:
            raise MethodNotAllowed(self.methods(scope["path"]))
        where = Where.of(scope)
        known = await access.identify(
            authorization(scope, protocol),
            service.directory,
            route.permission,
            where=where,
            checked=checked,
            somewhere=is_own,
        )
        call = self._call(service, known, route, ending, where)
        call.place = place
        request_headers.take(scope, call, known.key)
        body = scope[http.HELD] = self._held.body(known.key.tenant)
        try:
            if isinstance(route.endpoint, Exchange):
                await route.endpoint(service, call, await service.body(scope, receive), response)
            else:
                await route.endpoint(service, call, scope, receive, response)
        finally:
            body.leave()

    async def _ended(self, work: Coroutine[Any, Any, None], ending: Ending) -> float | None:
        """Work on a request to its end, and note how that came: what is to be explained is not to be cut off any more.

        Returns how many seconds the client has to take the error, where it may be taking nothing. Raises `CancelledError` when it
        is not its key that ended it.
        """
        try:
            await work
        except ClientGone:
            ending.error = _ClientLeft("The client closed the connection.")
        except errors.OllamaMaxError as error:
            ending.error = error
        except asyncio.CancelledError:
            if ending.call is None or not ending.call.caller.is_revoked:
                ending.error = _ClientLeft("The request was cancelled.")
                raise
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
            ending.error = errors.Unauthenticated(REVOKED.message)
            return _LAST_WORDS
        except Exception:  # noqa: BLE001 - the last line: the client gets an answer, the log gets the trace
            _log.exception("request_broke", request=ending.request, api=ending.api)
            ending.error = errors.OllamaMaxError("Something broke in this server; the log has the details.")
        finally:
            if ending.call is not None:
                self._callers.leave(ending.call.caller)
        return None

    def _call(
        self, service: Service, known: Identified, route: GatewayRoute, ending: Ending, where: Where | None
    ) -> Call:
        """What its key and its tenant say."""
        key = known.key
        ending.tenant, ending.key = key.tenant, key.id
        service.dispatcher.key_used(key.id)
        tenant = service.directory.get(tables.TENANTS, key.tenant) or _UNTOLD
        budgets = service.directory.get(tables.BUDGETS, key.tenant)
        ending.notes.strict = tenant.strict_fields if key.strict_fields is None else key.strict_fields
        caller = self._callers.enter(known, route.permission, where)
        ending.call = Call(
            known.principal,
            ending.api,
            ending.received_at,
            ending.traceparent,
            caller,
            ending.request,
            tenant=tenant,
            limits=key.limits,
            highest=key.priority,
            notes=ending.notes,
        )
        if budgets is not None:
            ending.call.budgets = budgets.that_count(key=key.id, user=key.made_by, teams=key.teams)
            ending.call.prices = budgets
        ending.requests = caller.requests
        return ending.call

    async def _explain(
        self, response: ClientResponse, protocol: Protocol, error: errors.OllamaMaxError, ending: Ending
    ) -> None:
        more = ending.refused(error, begun=response.begun)
        await explain(response, protocol, error, ending.request, ending.traceparent, more)
