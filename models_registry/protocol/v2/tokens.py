"""``/v2/token``: what a client's log-in asks for (https://distribution.github.io/distribution/spec/auth/token/)."""

from __future__ import annotations

import datetime
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from models_registry.protocol.v2 import access
from models_registry.protocol.v2.client_keys import caller_by_signature
from models_registry.queries.repository import find_repository, may_pull, may_push
from ollamamax.bus.database import in_database
from ollamamax.bus.directory import Directory
from ollamamax.identity.access import Where
from ollamamax.kernel.errors import TooLarge
from ollamamax.kernel.principal import Principal

_MOST_FORM = 64 << 10


async def answer(request: Request, directory: Directory) -> Response:
    """A token for those of the scopes that were asked for which the key may have. Raises `Unauthenticated`.

    GET with the key as the password (docker, podman, skopeo), or signed (Ollama), or POST with a form that has it as ``password`` or ``refresh_token`` (containerd).
    """
    asked, authorization = request.query_params.getlist("scope"), request.headers.get("authorization")
    form: dict[str, list[str]] = {}
    if request.method == "POST":
        form = parse_qs((await _body(request)).decode("latin-1"))
        asked = form.get("scope", asked)
        secret = (form.get("password") or form.get("refresh_token") or [""])[0]
        authorization = f"Bearer {secret}" if secret else authorization
    caller = await caller_by_signature(request, directory)
    if caller is None:
        caller = await access.caller_of(authorization, directory, Where.of(request.scope))
    wanted = access.asked_scopes(asked)
    if caller.scopes is not None:  # a token gives nobody more than it has
        wanted = {name: [each for each in actions if caller.may(each, name)] for name, actions in wanted.items()}
    given = await in_database(lambda: {name: _granted(caller.acting, name, each) for name, each in wanted.items()})
    made = access.token(caller.known, given)
    body = {
        "token": made,
        "access_token": made,
        "expires_in": access.TOKEN_SECONDS,
        "issued_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if form.get("access_type") == ["offline"]:
        body["refresh_token"] = (form.get("password") or form.get("refresh_token") or [""])[0]
    return JSONResponse(body, headers={"cache-control": "no-store"})


def _granted(acting: Principal, name: str, actions: list[str]) -> list[str]:
    repository = find_repository(acting, name)
    pull, push = may_pull(acting, repository), may_push(acting, repository)
    return [action for action in actions if (pull if action == "pull" else push)]


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM:
            raise TooLarge("The form is too large.", limit=_MOST_FORM)
    return bytes(body)
