"""``/v2/ollama-key``: PUT of a proof that one has the key pair of an Ollama, DELETE of its public key; and how that Ollama logs in with it."""

from __future__ import annotations

import asyncio
import hashlib
import time

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from models_registry.actions.client_key import forget_client_key, register_client_key
from models_registry.distribution.key_proof import HOW, proven_key
from models_registry.distribution.ollama_key import LATE_SECONDS, SignedHeader, is_fresh, public_key_in
from models_registry.protocol.v2.access import V2Caller
from models_registry.protocol.v2.call import V2Call, base_of
from models_registry.queries.client_key import identifier_of
from ollamamax.bus import keys, regions
from ollamamax.bus.database import in_database
from ollamamax.bus.directory import Directory
from ollamamax.identity import access
from ollamamax.identity.access import Where
from ollamamax.kernel.errors import Forbidden, TooLarge, Unauthenticated, Unavailable
from ollamamax.kernel.reach import require_reach

_MOST_BODY = 4096


async def register(call: V2Call) -> Response:
    key = proven_key(await _text(call), f"omx_{call.caller.known.identifier}".encode())
    await call.database(lambda: register_client_key(acting=call.acting, public_key=key))
    return Response(status_code=204)


async def forget(call: V2Call) -> Response:
    key = public_key_in(await _text(call))
    await call.database(lambda: forget_client_key(acting=call.acting, public_key=key))
    return Response(status_code=204)


async def _text(call: V2Call) -> str:
    if call.caller.scopes is not None or call.caller.known.ends is not None:
        raise Forbidden("This asks for the API key itself.")
    body = bytearray()
    async for part in call.request.stream():
        body += part
        if len(body) > _MOST_BODY:
            raise TooLarge("This is no public key, and no signature of one.", limit=_MOST_BODY)
    return body.decode("latin-1")


async def caller_by_signature(request: Request, directory: Directory) -> V2Caller | None:
    """Who signed the request for a token; ``None`` for a request that is not signed. A signature is good once, and for a short time.

    Raises `Unauthenticated`, and `Unavailable` when Redis does not tell whether it was used.
    """
    signed = SignedHeader.read(request.headers.get("authorization", ""))
    if signed is None:
        return None
    if not validate_host(split_domain_port(base_of(request).partition("://")[2])[0], settings.ALLOWED_HOSTS):
        # The signature is of an address: whoever was given it for an address of theirs must not use it here.
        raise Unauthenticated("This server is not called by that name (OLLAMAMAX_ALLOWED_HOSTS).")
    address = f"{base_of(request)}{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    fresh = is_fresh(request.query_params.get("ts", ""), time.time())
    if not fresh or not request.query_params.get("nonce") or not signed.signs(address):
        raise Unauthenticated("The signature is wrong or too old.")
    identifier = await in_database(lambda: identifier_of(signed.public_key))
    key = access.working_key(directory, identifier) if identifier else None
    if key is None:
        raise Unauthenticated(f"Nobody registered this public key at /v2/ollama-key. {HOW}")
    if not await asyncio.to_thread(_is_first, hashlib.sha256(signed.signature).hexdigest()):
        raise Unauthenticated("The signature was used already.")
    require_reach(key.reach, *Where.of(request.scope))
    known = access.identified(key, identifier)
    return V2Caller(known.principal, known)


def _is_first(signature: str) -> bool:
    try:
        return bool(regions.own().client.set(keys.signature_used(signature), b"1", ex=2 * LATE_SECONDS, nx=True))
    except RedisError as error:
        raise Unavailable("Redis does not answer. Try again soon.", retry_after=2) from error
