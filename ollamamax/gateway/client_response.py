"""A client over HTTP: its response, as far as that has gone, and how an error is told in it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, MutableMapping
from typing import Any

from cluster.dispatch.admission import RateLimited
from ollamamax.gateway import http, packed, rate_limits
from ollamamax.gateway.front import allowed
from ollamamax.gateway.http import Headers, Receive, Send
from ollamamax.gateway.intake import Flooded, Place
from ollamamax.gateway.routes import ANTHROPIC, Protocol
from ollamamax.kernel import errors


class MethodNotAllowed(errors.OllamaMaxError):
    code = "method_not_allowed"
    status = 405

    def __init__(self, methods: list[str]) -> None:
        super().__init__(f"Only {' and '.join(methods)} {'is' if len(methods) == 1 else 'are'} allowed here.")
        self.allowed = allowed(methods)


class ClientResponse:
    """`send`, remembering how far the response is.

    A client that waits has the head and signs of life before anything of an answer. A second head (of another model, which
    answers in the first one's stead) is left out then.
    """

    __slots__ = ("_place", "_receive", "_send", "begun", "headed", "status")

    def __init__(self, send: Send, receive: Receive, place: Place | None = None) -> None:
        self._send = send
        self._receive = receive
        self._place = place
        self.status = 0
        """As its head says; 0 until that is out."""
        self.headed = False
        """The head is out: what goes wrong can only be told in the body."""
        self.begun = False
        """Something of an answer is out."""

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if not message.pop(http.SIGN, False) and not self.begun:
            self.begun = True
            if self._place is not None and not self._place.left:
                self._place.leave()
        if message["type"] == "http.response.start":
            if self.headed:
                return
            self.headed = True
            self.status = message["status"]
        await self._send(message)

    @property
    def send(self) -> Send:
        return self

    def respond(self, status: int, body: bytes, headers: Headers, *, shrinks: bool = True) -> Awaitable[None]:
        return http.respond(self, status, body, headers, shrinks=shrinks)

    async def left(self) -> None:
        await http.left(self._receive)


async def explain(
    response: ClientResponse,
    protocol: Protocol,
    error: errors.OllamaMaxError,
    request: str,
    traceparent: str,
    more: Headers = (),
) -> None:
    """Tell a client what went wrong, in its protocol's form; ``more`` are headers besides, where there is still a head."""
    if response.headed:
        await http.finish(response, protocol.error_event(error))
        return
    headers = [(b"x-request-id", request.encode()), (b"traceparent", traceparent.encode()), *more]
    if protocol is ANTHROPIC:
        headers.append((b"request-id", request.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allowed))
    if isinstance(error, RateLimited) and error.levels:
        api = rate_limits.ANTHROPIC if protocol is ANTHROPIC else ""
        headers += rate_limits.headers(error.levels, api, time.time())
    if isinstance(error, Flooded) and error.closes:
        headers.append((b"connection", b"close"))
    if isinstance(error, packed.UnsupportedEncoding):
        headers.append((b"accept-encoding", packed.ENCODINGS))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    await http.respond(response, error.status, protocol.error_body(error), headers)
