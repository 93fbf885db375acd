"""Ollama's API for managing models (https://github.com/ollama/ollama/blob/main/docs/api.md), over the whole fleet.

An ASGI application of its own: it uses the database, which the inference gateway never does.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from models_registry import recipe
from models_registry.actions.job import submit_job
from models_registry.actions.name import copy_name, delete_name
from models_registry.models import Job
from models_registry.protocol import requests, uploads
from models_registry.protocol.routes import BLOBS, route_of
from models_registry.queries.job import find_job
from models_registry.queries.model import find_channel, is_kept_by_engines, spelled
from models_registry.transfer.reference import Allowed, Reference
from ollamamax import logs
from ollamamax.bus.database import in_database
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import MODELS, model_field
from ollamamax.identity import access
from ollamamax.identity.access import Where
from ollamamax.identity.actions.key_use import note_key_use
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel import errors
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.principal import Principal

POLL_SECONDS = 0.2
FIRST_WORD_SECONDS = 5.0
REPEAT_SECONDS = 5.0
"""A client that hears nothing for long, or a proxy before it, would take the connection for dead."""
KNOWN_SECONDS = 2.0
NDJSON = "application/x-ndjson"
_log = logs.get(__name__)


@dataclass(frozen=True)
class RegistryLimits:
    """``registries`` are those that this installation pulls from and pushes to; ``most_blob`` is in bytes."""

    registries: Allowed
    most_blob: int


@dataclass(frozen=True)
class RegistryCall:
    """One request, by whom, and what is needed to answer it."""

    request: Request
    acting: Principal
    directory: Directory
    limits: RegistryLimits
    still_works: Callable[[], None]
    """Raises `Unauthenticated` when the caller's key was revoked, or has expired, since."""


class Management:
    """Every route needs an API key with the route's permission."""

    def __init__(self, directory: Callable[[], Awaitable[Directory]], limits: RegistryLimits) -> None:
        self._directory = directory
        self._limits = limits

    @staticmethod
    def serves(path: str) -> bool:
        return route_of(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        id_ = new_id()
        try:
            response = await self._answer(request, id_)
        except ClientDisconnect:
            _log.info("client_gone", request=id_, api=scope["path"])
            return
        except errors.OllamaMaxError as error:
            response = _explain(error)
        except Exception:  # noqa: BLE001 - the last line: the client gets an answer, the log gets the trace
            _log.exception("request_broke", request=id_, api=scope["path"])
            response = _explain(errors.OllamaMaxError("Something broke in this server; the log has the details."))
        response.headers["x-request-id"] = id_
        if ignored := scope.get(requests.IGNORED):
            _log.info("fields_ignored", request=id_, api=scope["path"], fields=list(ignored))
            response.raw_headers += ignored.headers()
        await response(scope, receive, send)

    async def _answer(self, request: Request, id_: str) -> Response:
        directory = await self._directory()
        path: str = request.scope["path"]
        route = route_of(path)
        if route is None:
            raise errors.NotFound(f"There is no {path} here.")
        known = await access.identify(
            request.headers.get("authorization"),
            directory,
            route.permission,
            where=Where.of(request.scope),
            somewhere=route.of_model,
        )
        await asyncio.to_thread(note_key_use, known.key.id)
        acting = msgspec.structs.replace(known.principal, request=id_)

        def still_works() -> None:
            if access.working_key(directory, known.identifier) is None:
                raise errors.Unauthenticated(access.REVOKED_MEANWHILE)

        if request.method not in route.methods:
            allowed = ", ".join(route.methods)
            return JSONResponse({"error": f"Only {allowed} is allowed here."}, 405, {"allow": allowed})
        if path.startswith(BLOBS):
            digest = path.removeprefix(BLOBS)
            return await uploads.answer(request, acting, digest, self._limits.most_blob, still_works)
        return await _ENDPOINTS[path](RegistryCall(request, acting, directory, self._limits, still_works))


def _explain(error: errors.OllamaMaxError) -> Response:
    response = JSONResponse({"error": "unauthorized" if error.status == 401 else error.message}, error.status)
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
    return response


async def _create(call: RegistryCall) -> Response:
    body = await requests.read(call.request, recipe.FIELDS)
    wanted = recipe.checked(body)
    wanted["model"] = await _spelled(call, wanted["model"])
    return await _run(call, Job.Kind.CREATE, wanted["model"], wanted, body.stream)


async def _pull(call: RegistryCall) -> Response:
    return await _transfer(call, Job.Kind.PULL)


async def _push(call: RegistryCall) -> Response:
    return await _transfer(call, Job.Kind.PUSH)


async def _transfer(call: RegistryCall, kind: Job.Kind) -> Response:
    body = await requests.read(call.request, requests.TRANSFER)
    reference = Reference.parse(body.model or body.name, insecure=bool(body.insecure))
    call.limits.registries.check(reference)
    return await _run(call, kind, reference.name, reference.as_dict(), body.stream)


async def _copy(call: RegistryCall) -> Response:
    body = await requests.read(call.request, requests.COPY)
    source, destination = recipe.full_name(body.source), recipe.new_name(body.destination)
    destination = await _spelled(call, destination)
    await in_database(lambda: copy_name(acting=call.acting, source=source, destination=destination))
    await _known(call, destination)
    return Response(status_code=200)


async def _delete(call: RegistryCall) -> Response:
    body = await requests.read(call.request, requests.DELETE)
    name = recipe.full_name(body.model or body.name)
    if not await in_database(lambda: _by_engines(call.acting, name)):
        await in_database(lambda: delete_name(acting=call.acting, name=name))
        await _known(call, name)
        return Response(status_code=200)
    answer = await _run(call, Job.Kind.DELETE, name, {"model": name}, stream=False)
    return Response(status_code=200) if answer.status_code == 200 else answer


async def _spelled(call: RegistryCall, name: str) -> str:
    """The name of a model that there may be in another case: as in Ollama, that one is meant."""

    def look() -> str:
        with tenant_scope(call.acting.tenant or ""):
            return spelled(name)

    return await in_database(look)


def _by_engines(acting: Principal, name: str) -> bool:
    with tenant_scope(acting.tenant or ""):
        return is_kept_by_engines(name)


Endpoint = Callable[[RegistryCall], Awaitable[Response]]
_ENDPOINTS: dict[str, Endpoint] = {
    "/api/create": _create,
    "/api/pull": _pull,
    "/api/push": _push,
    "/api/copy": _copy,
    "/api/delete": _delete,
}


# Jobs as Ollama's progress


async def _run(call: RegistryCall, kind: str, model: str, wanted: dict[str, Any], stream: bool | None) -> Response:
    """Ask for a job and tell how it goes. It is the tenant's: it goes on when the caller leaves, or their key is revoked."""
    job = await in_database(lambda: submit_job(acting=call.acting, kind=kind, model=model, request=wanted))
    lines = _lines(call, job.tenant_id, job.id)
    if stream is False:
        told = [line async for line in lines]
        return JSONResponse(told[-1])
    # What fails at once is told by the status of the answer.
    first = await anext(lines)
    return StreamingResponse(_encoded(first, lines), media_type=NDJSON, headers={"x-ollamamax-job": job.id.hex})


async def _encoded(first: dict[str, Any], lines: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    yield msgspec.json.encode(first) + b"\n"
    try:
        async for line in lines:
            yield msgspec.json.encode(line) + b"\n"
    except errors.OllamaMaxError as error:
        yield msgspec.json.encode({"error": error.message}) + b"\n"


async def _lines(call: RegistryCall, tenant: uuid.UUID, id_: uuid.UUID) -> AsyncIterator[dict[str, Any]]:
    """The job's progress as it comes, last ``success``. Raises the job's error, and `ClientDisconnect`."""
    told: list[dict[str, Any]] = []
    told_at = time.monotonic()
    while True:
        job = await in_database(lambda: _read(tenant, id_))
        for index, row in enumerate(job.progress):
            if index >= len(told) or told[index] != row:
                told_at = time.monotonic()
                yield row
        told = job.progress
        if job.state == Job.State.DONE:
            await _known(call, job.model)
            yield {"status": "success"}
            return
        if job.is_over:
            raise JobFailed(job)
        if time.monotonic() - told_at > (REPEAT_SECONDS if told else FIRST_WORD_SECONDS):
            told_at = time.monotonic()
            yield told[-1] if told else {"status": "waiting"}
        if await call.request.is_disconnected():
            raise ClientDisconnect
        call.still_works()
        await asyncio.sleep(POLL_SECONDS)


async def _known(call: RegistryCall, name: str) -> None:
    """Return when this process's gateway knows what the name stands for now: a client may use it at once."""
    tenant = call.acting.tenant or ""
    version = await in_database(lambda: _version_of(tenant, name))
    end = time.monotonic() + KNOWN_SECONDS
    while time.monotonic() < end:
        listed = call.directory.get(MODELS, model_field(tenant, name))
        if (listed.version if listed else None) == version:
            return
        await asyncio.sleep(0.01)


def _version_of(tenant: str, name: str) -> str | None:
    with tenant_scope(tenant):
        try:
            return find_channel(name).version.digest
        except errors.ModelNotFound:
            return None


def _read(tenant: uuid.UUID, id_: uuid.UUID) -> Job:
    with tenant_scope(tenant):
        return find_job(id_)


class JobFailed(errors.OllamaMaxError):
    """What a job ended with, as the controller noted it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error)
        self.code = job.error_code or self.code
        self.status = job.error_status or self.status
