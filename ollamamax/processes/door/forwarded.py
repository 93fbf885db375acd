"""Behind a proxy: who a request comes from, and how many requests of one address are under way at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ollamamax.processes.door import refusal
from ollamamax.processes.door.connections import network

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[Any]]


class RequestsOfAddresses:
    """The proxy's connections carry everybody's requests: these are counted, by the address that the proxy names."""

    def __init__(self, application: Application, most_of_address: int) -> None:
        self._application = application
        self._most = most_of_address
        self._of: Counter[str] = Counter()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or not scope.get("client"):
            await self._application(scope, receive, send)
            return
        address = network(scope["client"][0])
        if self._of[address] >= self._most:
            await _refuse(scope, send)
            return
        self._of[address] += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self._of[address] -= 1
            if not self._of[address]:
                del self._of[address]


def behind_proxy(application: Application, proxies: Collection[str], most_of_address: int) -> Any:
    """``application``, told the client's address and scheme by the proxies alone."""
    counted: Any = RequestsOfAddresses(application, most_of_address)
    return ProxyHeadersMiddleware(counted, trusted_hosts=list(proxies))


async def _refuse(scope: MutableMapping[str, Any], send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
        return
    body = refusal.body(429)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
