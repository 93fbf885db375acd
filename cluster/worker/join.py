"""Exchanges a join token for this node's own identity."""

from __future__ import annotations

import aiohttp
import msgspec

from cluster.engines.build import EngineChoice
from cluster.worker.identity import Identity
from cluster.worker.version import AGENT
from ollamamax.bus.connect import elsewhere
from ollamamax.kernel.addresses import AddressRefused, checked_address


class JoinFailed(Exception):
    """One sentence for the person at the keyboard."""


class JoinReply(msgspec.Struct):
    """What ``POST /api/v1/nodes/join`` answers."""

    node: str
    name: str
    tenant: str
    secret: str
    redis_url: str


def check_url(url: str, *, insecure_http: bool) -> str:
    """The URL without its last slash. Raises `JoinFailed` for one that would show the token to the network."""
    try:
        return checked_address(url, insecure_http=insecure_http)
    except AddressRefused as error:
        raise JoinFailed(str(error)) from None


async def join(url: str, token: str, name: str, engine: EngineChoice, redis_url: str = "") -> Identity:
    """Ask the control plane at ``url``. Raises `JoinFailed`."""
    request = {"token": token, "name": name, "engine": engine.kind, "agent_version": AGENT}
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.post(f"{url}/api/v1/nodes/join", json=request, allow_redirects=False) as response,
        ):
            status, body = response.status, await response.read()
    except aiohttp.ClientConnectorCertificateError as error:
        raise JoinFailed(f"The certificate of {url} is not trusted: {error.certificate_error}.") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise JoinFailed(f"{url} cannot be reached: {str(error) or type(error).__name__}.") from error
    if status not in {200, 201}:
        raise JoinFailed(_refusal(url, status, body))
    try:
        answer = msgspec.json.decode(body, type=JoinReply)
    except msgspec.DecodeError as error:
        raise JoinFailed(f"{url} answers, but is not an OllamaMax: {error}.") from error
    return Identity(
        node=answer.node,
        name=answer.name,
        tenant=answer.tenant,
        secret=answer.secret,
        redis_url=elsewhere(answer.redis_url, redis_url) if redis_url else answer.redis_url,
        url=url,
        engine=engine,
    )


def _refusal(url: str, status: int, body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body, type=dict[str, object])
        detail = str(problem["detail"])
    except (msgspec.DecodeError, KeyError):
        return f"{url} answers with HTTP {status}, but is not an OllamaMax of this version."
    if status in {401, 403}:
        return f"The join token was refused: {detail}"
    return f"{url} refused to let this node join: {detail}"
