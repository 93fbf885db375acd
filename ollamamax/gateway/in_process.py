"""A request from inside this process: through the same door as a client's, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from ollamamax.gateway.app import Gateway
from ollamamax.gateway.http import Scope
from ollamamax.identity.access import Identified


@dataclass(frozen=True)
class WholeResponse:
    """A whole response; ``retry_after`` is in seconds, where the gateway says when to come again."""

    status: int
    request: str
    retry_after: float | None
    body: bytes


async def ask(gateway: Gateway, key: Identified, path: str, body: bytes, *, idle_only: bool = True) -> WholeResponse:
    """POST ``body`` to a route of the gateway as the owner of ``key``. Cancelling the task is as a client that leaves.

    ``idle_only``: it takes slots that nobody waits for, or none; else it waits its turn in the queue.
    """
    asked = False
    status = 0
    headers: dict[bytes, bytes] = {}
    parts: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()  # this client stays until it has its answer
        asked = True
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.update(message["headers"])
        else:
            parts.append(message.get("body", b""))

    scope: Scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    await gateway.serve(scope, receive, send, inside=key, idle_only=idle_only)
    retry_after = headers.get(b"retry-after")
    return WholeResponse(
        status,
        headers.get(b"x-request-id", b"").decode(),
        None if retry_after is None else float(retry_after),
        b"".join(parts),
    )
