"""The answer to a request from inside this process: whole, and without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.dispatch.request import Request
from ollamamax.contract.measured import MOST_SPEED
from ollamamax.gateway.http import Headers
from ollamamax.kernel import errors


@dataclass(frozen=True)
class MeasuredAnswer:
    """Of the node that answered. ``first_token_ms``: from when the node was given the request to its first output. ``tokens_per_second`` by the
    engine's own count and time. ``None``: it was not measured."""

    node: str = ""
    first_token_ms: float | None = None
    tokens_per_second: float | None = None

    @staticmethod
    def of(requests: Sequence[Request]) -> MeasuredAnswer:
        """Of what was asked of nodes for one call: the one that was answered."""
        for request in reversed(requests):
            final = request.final
            if final is None:
                continue
            first = None
            if request.first_token_at is not None and request.given_at is not None and not request.continued:
                first = max(0.0, request.first_token_at - request.given_at) * 1000
            whole = not final.estimated and not request.continued
            speed = final.completion_tokens * 1000 / final.eval_ms if whole and final.eval_ms > 0 else None
            if speed is not None and not 0 < speed <= MOST_SPEED:
                speed = None  # no engine is so fast: what the node said of its time is no measurement
            return MeasuredAnswer(request.node_name, first, speed)
        return MeasuredAnswer()


@dataclass(frozen=True)
class WholeResponse:
    """``retry_after`` is in seconds, where the gateway says when to come again."""

    status: int
    request: str
    retry_after: float | None
    body: bytes
    measured: MeasuredAnswer = MeasuredAnswer()


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
