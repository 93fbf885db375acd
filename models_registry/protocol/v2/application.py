"""The registry protocol at ``/v2/`` (https://github.com/opencontainers/distribution-spec/blob/main/spec.md), with what Ollama's client expects besides.

An ASGI application of its own, as that of Ollama's management API: bodies are large, and it uses the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from models_registry.distribution import names
from models_registry.distribution.faults import RegistryFault, told
from models_registry.distribution.names import V2Path, place_of
from models_registry.protocol.v2 import access, blobs, client_keys, manifests, tokens, uploads
from models_registry.protocol.v2.call import PULL, V2Call, base_of
from models_registry.protocol.v2.mirrored import Mirroring
from ollamamax import logs
from ollamamax.bus.directory import Directory
from ollamamax.identity.access import Where
from ollamamax.identity.actions.key_use import note_key_use
from ollamamax.kernel import errors
from ollamamax.kernel.ids import new_id

VERSION = {"docker-distribution-api-version": "registry/2.0"}
_log = logs.get(__name__)
_SIGNED = frozenset({"GET", "HEAD"})


class Distribution:
    """``most_blob``: bytes of the largest blob that is taken."""

    def __init__(self, directory: Callable[[], Awaitable[Directory]], most_blob: int) -> None:
        self._directory = directory
        self._most_blob = most_blob
        self._mirroring = Mirroring(most_blob)

    @staticmethod
    def serves(path: str) -> bool:
        return names.is_ours(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        id_ = new_id()
        try:
            response = await self._answer(request, id_)
        except ClientDisconnect:
            _log.info("client_gone", request=id_, api="/v2/")
            return
        except errors.OllamaMaxError as error:
            response = _explained(request, error)
        except Exception:  # noqa: BLE001 - the last line: the client gets an answer, the log gets the trace
            _log.exception("request_broke", request=id_, api="/v2/")
            response = _explained(
                request, errors.OllamaMaxError("Something broke in this server; the log has the details.")
            )
        response.headers["x-request-id"] = id_
        response.headers.update(VERSION)
        await response(scope, receive, send)

    async def _answer(self, request: Request, id_: str) -> Response:
        place = place_of(request.scope["path"])
        route = _ROUTES[place.kind]
        if request.method not in route:
            raise _NotAllowed(f"Only {', '.join(route)} is answered here.", allow=", ".join(route))
        if any("\0" in text for pair in request.query_params.multi_items() for text in pair):
            raise RegistryFault("UNSUPPORTED", 400, "A query has no NUL.")
        directory = await self._directory()
        if place.kind == "token":
            return await tokens.answer(request, directory)
        caller = await _caller(request, directory, place)
        await asyncio.to_thread(note_key_use, caller.known.key.id)
        caller = access.V2Caller(msgspec.structs.replace(caller.acting, request=id_), caller.known, caller.scopes)
        call = V2Call(request, place, caller, directory, self._most_blob, self._mirroring)
        action, answer = route[request.method]
        if place.name:
            call.require(action)
        return await answer(call)


async def _caller(request: Request, directory: Directory, place: V2Path) -> access.V2Caller:
    signature = request.query_params.get("signature")
    if signature is not None and place.kind == "blob" and request.method in _SIGNED:
        return access.caller_by_address(signature, directory, place.name, place.item, Where.of(request.scope))
    return await access.caller_of(request.headers.get("authorization"), directory, Where.of(request.scope))


async def _base(call: V2Call) -> Response:
    return JSONResponse({})


class _NotAllowed(errors.OllamaMaxError):
    code = "method_not_allowed"
    status = 405


def _explained(request: Request, error: errors.OllamaMaxError) -> Response:
    response = JSONResponse(told(error), error.status)
    if error.status == 401:
        base = base_of(request)
        name, action = error.fields.get("name", ""), error.fields.get("action", PULL)
        if not name:
            try:
                place = place_of(request.scope["path"])
                name, (action, _) = place.name, _ROUTES[place.kind].get(request.method, (PULL, _base))
            except errors.OllamaMaxError:
                name = ""
        actions = action if action == PULL else f"{PULL},{action}"
        response.headers["www-authenticate"] = access.challenge(
            f"{base}/v2/token", base.partition("://")[2], name, actions
        )
    if error.status == 405:
        response.headers["allow"] = error.fields.get("allow", "")
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
    for header, value in getattr(error, "headers", {}).items():
        response.headers[header] = value
    return response


Answer = Callable[[V2Call], Awaitable[Response]]
_PUSH, _DELETE = "push", "delete"
_ROUTES: dict[names.Kind, dict[str, tuple[str, Answer]]] = {
    "base": {"GET": (PULL, _base), "HEAD": (PULL, _base)},
    "token": {"GET": (PULL, _base), "POST": (PULL, _base)},
    "client_key": {"PUT": (PULL, client_keys.register), "DELETE": (PULL, client_keys.forget)},
    "catalog": {"GET": (PULL, manifests.catalog)},
    "blob": {"GET": (PULL, blobs.read), "HEAD": (PULL, blobs.read), "DELETE": (_DELETE, blobs.delete)},
    "uploads": {"POST": (_PUSH, uploads.begin)},
    "upload": {
        "GET": (_PUSH, uploads.state),
        "PATCH": (_PUSH, uploads.append),
        "PUT": (_PUSH, uploads.finish),
        "DELETE": (_PUSH, uploads.cancel),
    },
    "manifest": {
        "GET": (PULL, manifests.read),
        "HEAD": (PULL, manifests.read),
        "PUT": (_PUSH, manifests.push),
        "DELETE": (_DELETE, manifests.delete),
    },
    "tags": {"GET": (PULL, manifests.tags)},
    "referrers": {"GET": (PULL, manifests.referrers)},
}
