"""What directories are answered, who come with a token that says whose they are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from scim2_models import InvalidFilterException, PayloadTooLargeException, UnauthorizedException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse

from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.changes import one_at_a_time
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.actions.token import note_token_use
from ollamamax.provisioning.models import ScimToken
from ollamamax.provisioning.protocol.address import base_url
from ollamamax.provisioning.protocol.patches import fewer_operations
from ollamamax.provisioning.protocol.service import MOST_BYTES, MOST_FILTER, SERVICE, told
from ollamamax.provisioning.protocol.storage import DirectoryStorage
from ollamamax.provisioning.queries.directory import find_token
from ollamamax.sso.queries.provider import get_provider


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """Everything below `/scim/v2/`."""
    try:
        token = _token(request)
        found = _answered(request, f"/{path}", token)
    except Exception as error:  # noqa: BLE001 - told as SCIM tells it, and logged where it is our own fault
        found = SERVICE.error_response(told(error) or error)
    body = b"" if found.body is None else json.dumps(found.body, ensure_ascii=False).encode("utf-8", "replace")
    return HttpResponse(body, status=int(found.status), headers=found.headers)


def _token(request: HttpRequest) -> ScimToken:
    """Raises `UnauthorizedException` for every token that is not good, without saying why."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    found = find_token(text.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise UnauthorizedException(detail="The token is missing, wrong, expired or revoked.")
    note_token_use(found)
    return found


def _answered(request: HttpRequest, path: str, token: ScimToken) -> ScimResponse:
    acting = Principal("system", f"scim:{token.identifier}", token.tenant_id.hex, token.name, request=id_of(request))
    changes = request.method not in {"GET", "HEAD"} and not path.endswith("/.search")
    # A patch reads and writes: of one directory one at a time, so that no two requests find each other's half.
    turn = one_at_a_time(f"scim:{token.provider_id.hex}") if changes else contextlib.nullcontext()
    body, query = _body(request), request.GET.dict()
    _refuse_long_filters(query, body)
    if body and request.method in {"PATCH", "POST"}:
        body = fewer_operations(path, body)
    with tenant_scope(token.tenant_id), turn:
        asked = ScimRequest(
            method="GET" if request.method == "HEAD" else request.method or "",
            base_url=base_url(),
            path=path,
            query=query,
            headers=list(request.headers.items()),
            body=body,
        )
        storage = DirectoryStorage(get_provider(token.provider_id), acting)
        return ScimHandler(SERVICE, storage).handle(asked)


def _refuse_long_filters(query: Mapping[str, str], body: bytes) -> None:
    """Before anything reads them. Raises `InvalidFilterException`. What is no JSON is the library's to refuse."""
    try:
        left: list[Any] = [query, json.loads(body) if body else None]
    except ValueError:
        return
    while left:
        each = left.pop()
        if isinstance(each, Mapping):
            for name, value in each.items():
                if name.lower() in {"filter", "path"} and isinstance(value, str) and len(value) > MOST_FILTER:
                    raise InvalidFilterException(detail=f"A filter or a path has at most {MOST_FILTER} characters.")
            left += each.values()
        elif isinstance(each, list):
            left += each


def _body(request: HttpRequest) -> bytes:
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        raise PayloadTooLargeException(detail=f"A request has at most {MOST_BYTES} bytes.")
    body = request.body
    if len(body) > MOST_BYTES:
        raise PayloadTooLargeException(detail=f"A request has at most {MOST_BYTES} bytes.")
    return body
