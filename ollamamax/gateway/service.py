"""What all endpoints share: the directory, the dispatcher, the limits."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from cluster.dispatch.dispatcher import Dispatcher
from ollamamax.bus.directory import Directory
from ollamamax.gateway.http import Receive, Scope, read_body
from ollamamax.gateway.openai.keeping import Keeping
from ollamamax.gateway.shadow import Shadows


@dataclass(frozen=True)
class Service:
    """``max_body`` is in bytes, ``deadline`` in seconds. ``keeping`` keeps responses, where this process has somebody who does."""

    directory: Directory
    dispatcher: Dispatcher
    max_body: int
    deadline: float
    shadows: Shadows
    keeping: Keeping | None = None

    def body(self, scope: Scope, receive: Receive) -> Awaitable[bytes]:
        return read_body(scope, receive, self.max_body)
