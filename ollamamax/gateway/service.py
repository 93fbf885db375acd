"""What all endpoints share: the directory, the dispatcher, the limits."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.dispatch.dispatcher import Dispatcher
from cluster.wire import Inference
from ollamamax.bus.directory import Directory
from ollamamax.gateway import catalog
from ollamamax.gateway.execution import Call, Execution
from ollamamax.gateway.http import Receive, Scope, read_body


@dataclass(frozen=True)
class Service:
    """``max_body`` is in bytes, ``deadline`` in seconds."""

    directory: Directory
    dispatcher: Dispatcher
    max_body: int
    deadline: float

    async def body(self, scope: Scope, receive: Receive) -> bytes:
        return await read_body(scope, receive, self.max_body)

    def execution(
        self, call: Call, model: str, inference: Inference, receive: Receive, *, deadline: float | None = None
    ) -> Execution:
        """``deadline`` is in seconds, instead of this service's own. Raises `ModelNotFound`."""
        listed = catalog.resolve(self.directory, call.principal.tenant or "", model)
        return Execution(self.dispatcher, call, model, listed, inference, deadline or self.deadline, receive)
