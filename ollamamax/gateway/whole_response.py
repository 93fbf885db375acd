"""The answer to a request from inside this process: whole, and without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from ollamamax.gateway.http import Headers
from ollamamax.kernel import errors


@dataclass(frozen=True)
class WholeResponse:
    """``retry_after`` is in seconds, where the gateway says when to come again."""

    status: int
    request: str
    retry_after: float | None
    body: bytes


class Inside:
    """The client that this process is itself: it stays until it has its answer, and its task is cancelled when it leaves."""

    def __init__(self) -> None:
        self.begun = False
        self.response: WholeResponse | None = None

    async def respond(self, status: int, body: bytes, headers: Headers, *, shrinks: bool = True) -> None:
        request = next((value.decode() for name, value in headers if name == b"x-request-id"), "")
        self.begun = True
        self.response = WholeResponse(status, request, None, body)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        raise errors.Unsupported("A request from inside a process has no stream.", param="stream")

    async def left(self) -> None:
        await asyncio.Event().wait()
