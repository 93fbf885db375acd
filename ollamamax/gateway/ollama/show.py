"""``/api/show``: what is known of a model, by the word of a node that has it, and of the directory where none answers."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax import logs
from ollamamax.contract import Inference
from ollamamax.gateway import catalog, http, relay
from ollamamax.gateway.catalog import Listed
from ollamamax.gateway.execution import Call, EngineError
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import lenient, responses
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

PATIENCE = 10.0
_MOST_KEPT = 512
_log = logs.get(__name__)
_kept: dict[tuple[str, str], dict[str, Any]] = {}
"""What nodes said, by tenant and version; a version never changes. Verbose answers are too large to keep."""


class ShowRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``name`` is the older word for ``model``."""

    model: str = ""
    name: str = ""
    verbose: bool | None = False
    # Refused.
    system: str | None = None
    template: str | None = None


UNSUPPORTED = ("system", "template")
"""They would show another model than the one that answers."""

decoder = msgspec.json.Decoder(ShowRequest)


async def show(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = lenient.read(decoder, await service.body(scope, receive), call.ignored)
    name = body.model or body.name
    if not name:
        raise errors.InvalidRequest("'model' is required.", param="model")
    for field in UNSUPPORTED:
        if getattr(body, field):
            raise errors.Unsupported(f"'{field}' is not supported by this server.", param=field)
    listed = catalog.resolve(service.directory, call.principal.tenant or "", name)
    info = await _info(service, call, name, listed, bool(body.verbose), receive)
    await http.respond(send, 200, http.encode(_answer(listed, info)), call.headers())


def _answer(listed: Listed, info: dict[str, Any]) -> dict[str, Any]:
    details = responses.described(listed.details)
    said = {name: value for name, value in (info.get("details") or {}).items() if value}
    model_info = info.get("model_info") or _of_directory(listed)
    return {
        **info,
        "details": details | said,
        "model_info": model_info,
        "modified_at": responses.timestamp(listed.modified_at),
    }


def _of_directory(listed: Listed) -> dict[str, Any]:
    family, length = listed.details.family, listed.details.context_length
    found: dict[str, Any] = {"general.architecture": family} if family else {}
    return found | ({f"{family}.context_length": length} if family and length else {})


async def _info(
    service: Service, call: Call, name: str, listed: Listed, verbose: bool, receive: Receive
) -> dict[str, Any]:
    place = (call.principal.tenant or "", listed.version)
    if not verbose and place in _kept:
        return _kept[place]
    inference = Inference(kind="show", verbose=verbose)
    try:
        async with service.execution(call, name, inference, receive, deadline=PATIENCE) as execution:
            info = (await relay.gather(execution)).final.info
    except (errors.Unavailable, errors.Overloaded, EngineError) as error:
        _log.info("show_by_directory", request=call.id, version=listed.version, reason=error.code)
        return {}
    if not verbose:
        if len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[place] = info
    return info
