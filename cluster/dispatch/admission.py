"""Gives requests to nodes, and takes them back: the callers of `admit.lua` and `withdraw.lua`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from cluster.dispatch.celery_message import drain_message
from cluster.dispatch.fleet import Fleet
from cluster.dispatch.request import Request
from cluster.dispatch.script import Script
from cluster.scheduling.load import load_of
from cluster.wire import OpenRequest, Ticket, encode_json, encode_ticket
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.kernel import errors

PATIENCE = 60.0
"""Seconds for which taking a ticket back is tried while Redis is away."""
_log = logs.get(__name__)


class Admission:
    """``gateway`` is this process; ``queue_per_node`` is how many requests may wait at a node beyond its slots."""

    def __init__(self, client: redis.asyncio.Redis, fleet: Fleet, gateway: str, queue_per_node: int) -> None:
        self._client = client
        self._fleet = fleet
        self._gateway = gateway
        self._queue_per_node = queue_per_node
        self._admit = Script("admit")
        self._withdraw = Script("withdraw")

    async def admit(self, request: Request, nodes: Sequence[str]) -> str:
        """Give the request's next attempt to the first of ``nodes`` that has room, or queue it at the least busy; returns that node.

        Raises `Overloaded`, or `Unavailable` when none of them is alive, and `RedisError` when it is not known what happened.
        """
        redis_keys: list[str] = [keys.OPEN]
        arguments: list[Any] = [
            request.id,
            request.ticket,
            self._ticket(request, nodes[0]),
            self._open(request),
            self._queue_per_node,
            request.traceparent,
        ]
        for node in nodes:
            redis_keys += [
                keys.node_state(node),
                keys.node_slots(node),
                keys.node_inbox(node),
                keys.node_drain(node),
                keys.node_queue(node),
            ]
            arguments += [node, encode_json(self._fleet.name(node)), self._fleet.capacity(node), drain_message(node)]
        index, used = await self._admit.run(self._client, redis_keys, arguments)
        if index < 0:
            raise errors.Overloaded(
                f"Every node that has the model '{request.model}' is busy and {used} or more requests wait at each.",
                retry_after=2,
            )
        if index == 0:
            raise errors.Unavailable(f"No node that has the model '{request.model}' is alive.", retry_after=2)
        return nodes[int(index) - 1]

    async def withdraw(self, request: Request, nodes: Sequence[str], *, close: bool) -> None:
        """Take the ticket back from whichever of ``nodes`` has it; ``close`` forgets the request itself, too.

        Tried again while Redis is away: a slot that is not given back is lost until this process ends.
        """
        redis_keys = [keys.OPEN]
        for node in nodes:
            redis_keys += [keys.node_slots(node), keys.node_inbox(node)]
        arguments = [request.id if close else "", request.ticket, request.payload]
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await self._withdraw.run(self._client, redis_keys, arguments)
            except RedisError as error:
                if time.monotonic() > end:
                    _log.error("withdraw_failed", request=request.id, error=str(error))
                    return
                await asyncio.sleep(0.5)
            else:
                return

    def _ticket(self, request: Request, node: str) -> bytes:
        request.payload = encode_ticket(
            Ticket(
                id=request.ticket,
                gateway=self._gateway,
                tenant=request.tenant,
                version=request.version,
                # Nodes find the model by its version; the name is for people who read logs.
                model=self._fleet.engine_name(node, request.version) or request.model,
                deadline=request.deadline,
                traceparent=request.traceparent,
                inference=request.inference,
                load=load_of(request.profile),
            )
        )
        return request.payload

    def _open(self, request: Request) -> bytes:
        """The open record without its first fields, which `admit.lua` writes when it has chosen the node."""
        request.admitted_at = request.admitted_at or time.time()
        opened = OpenRequest(
            request=request.id,
            gateway=self._gateway,
            tenant=request.tenant,
            key=request.key,
            model=request.model,
            version=request.version,
            node="",
            node_name="",
            api=request.api,
            trace=request.trace,
            received_at=request.received_at,
            admitted_at=request.admitted_at,
            attempt=request.attempt,
        )
        fields = msgspec.structs.asdict(opened)
        del fields["node"], fields["node_name"]
        return encode_json(fields)[1:]
