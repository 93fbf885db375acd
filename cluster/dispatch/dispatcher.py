"""Runs requests on nodes: admit, follow the events, cancel, try again elsewhere, settle. One per gateway process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.exceptions import RedisError

from cluster.dispatch.celery_message import drain_message
from cluster.dispatch.fleet import Fleet
from cluster.dispatch.script import Script
from cluster.dispatch.stream import Stream
from cluster.scheduling.routing import rank
from cluster.wire import (
    Control,
    Event,
    Failure,
    Final,
    Frame,
    Inference,
    OpenRequest,
    Outcome,
    Ticket,
    UsageRecord,
    decode_frames,
    encode_control,
    encode_json,
    encode_ticket,
)
from ollamamax import logs
from ollamamax.bus import connect, keys
from ollamamax.bus.directory import Directory
from ollamamax.kernel import errors
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end

ATTEMPTS = 3
LEASE_MS = 5000
_TRY_ELSEWHERE = frozenset({"node_lost", "node_restarted", "engine_failed", "unavailable", "cancelled"})
"""Codes of failures that another node may not have. A node cancels by itself only when it is shut down."""
_MOST_UNSETTLED = 100_000
_log = logs.get(__name__)


@dataclass(slots=True)
class Request:
    """One inference request of a client, from its receipt to its settlement."""

    id: str
    tenant: str
    key: str
    model: str
    version: str
    api: str
    traceparent: str
    trace: str
    received_at: float
    deadline: float
    inference: Inference
    attempt: int = 0
    node: str = ""
    node_name: str = ""
    admitted_at: float | None = None
    started_at: float | None = None
    first_token_at: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tried: set[str] = field(default_factory=set)
    stream: Stream | None = None
    payload: bytes = b""

    @property
    def ticket(self) -> str:
        return f"{self.id}.{self.attempt}"


@dataclass(frozen=True, slots=True)
class _Settlement:
    request: str
    ticket: str
    tenant: str
    node: str
    record: bytes


class Dispatcher:
    """Owns this process's connections to the nodes, its lease, and its unsettled requests.

    ``queue_per_node`` is how many requests may wait at a node beyond its slots.
    """

    def __init__(self, redis_url: str, directory: Directory, *, queue_per_node: int) -> None:
        self.id = new_id()
        self._client = connect.connect_async(redis_url)
        self._listening = connect.connect_async(redis_url, blocking=True)
        self.fleet = Fleet(self._listening, directory)
        self._queue_per_node = queue_per_node
        self._admit = Script("admit")
        self._settle = Script("settle")
        self._withdraw = Script("withdraw")
        self._streams: dict[str, Stream] = {}
        self._disowned: dict[str, float] = {}
        self._unsettled: list[_Settlement] = []
        self._used_keys: dict[str, float] = {}
        self._settling = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[Any]] = set()
        self._ready = asyncio.Event()

    async def start(self) -> None:
        self.fleet.start()
        self._tasks = [
            asyncio.create_task(self._receive(), name="receive"),
            asyncio.create_task(self._watch(), name="watch"),
            asyncio.create_task(self._settle_all(), name="settle"),
        ]
        await self._ready.wait()

    async def stop(self) -> None:
        """Settle what is unsettled, give the lease back, close."""
        if self._background:
            await asyncio.wait(self._background, timeout=5)
        await end(self._tasks)
        await self.fleet.stop()
        try:
            await self._flush()
            await self._client.delete(keys.gateway_alive(self.id))
        except RedisError as error:
            _log.warning("stopped_unsettled", requests=len(self._unsettled), error=str(error))
        await self._client.aclose()
        await self._listening.aclose()

    # -- a request ------------------------------------------------------------------------------------------------

    async def admit(self, request: Request) -> None:
        """Give the request to a node. Raises `Overloaded`, or `Unavailable` when no node has the model."""
        ranked = rank(self.fleet.candidates(request.tenant, request.version, without=request.tried))
        if not ranked:
            raise errors.Unavailable(
                f"No node that has the model '{request.model}' is available right now.",
                retry_after=2,
                model=request.model,
            )
        request.attempt += 1
        stream = Stream(request.ticket, "")
        self._streams[request.ticket] = stream
        try:
            index, used = await self._call_admit(request, [each.candidate.node for each in ranked])
        except RedisError as error:
            self._streams.pop(request.ticket, None)
            _log.error("admission_failed", request=request.id, error=str(error))
            raise errors.Unavailable("The queue of this installation cannot be reached.", retry_after=1) from error
        if index <= 0:
            self._streams.pop(request.ticket, None)
            if index < 0:
                raise errors.Overloaded(
                    f"Every node that has the model '{request.model}' is busy and {used} or more requests wait at each.",
                    retry_after=2,
                )
            raise errors.Unavailable(f"No node that has the model '{request.model}' is alive.", retry_after=2)
        request.stream = stream
        stream.node = request.node = ranked[index - 1].candidate.node
        request.node_name = self.fleet.name(request.node)
        self.fleet.given(request.node, 1)

    async def _call_admit(self, request: Request, nodes: list[str]) -> tuple[int, int]:
        # The engine's own name of the model can differ between nodes; versions of one digest rarely do.
        model = self.fleet.engine_name(nodes[0], request.version) or request.model
        request.payload = encode_ticket(
            Ticket(
                id=request.ticket,
                gateway=self.id,
                tenant=request.tenant,
                version=request.version,
                model=model,
                deadline=request.deadline,
                traceparent=request.traceparent,
                inference=request.inference,
            )
        )
        now = time.time()
        request.admitted_at = request.admitted_at or now
        opened = OpenRequest(
            request=request.id,
            gateway=self.id,
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
        rest = encode_json({k: v for k, v in msgspec.structs.asdict(opened).items() if k not in {"node", "node_name"}})[
            1:
        ]
        redis_keys: list[str] = [keys.OPEN]
        arguments: list[Any] = [
            request.id,
            request.ticket,
            request.payload,
            rest,
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
            arguments += [node, encode_json(self.fleet.name(node)), self.fleet.capacity(node), drain_message(node)]
        index, used = await self._admit.run(self._client, redis_keys, arguments)
        return int(index), int(used)

    async def next(self, request: Request) -> Event:
        """The request's next event, from whichever attempt is under way.

        A node that fails before the first token is replaced, unseen, while others have the model.
        """
        assert request.stream is not None  # noqa: S101 - admit came first
        event = await request.stream.next()
        if (
            isinstance(event, Failure)
            and event.code in _TRY_ELSEWHERE
            and request.first_token_at is None
            and request.attempt < ATTEMPTS
        ):
            failed = request.node
            self._leave(request)
            await self._take_back(request)
            request.tried.add(failed)
            try:
                await self.admit(request)
            except (errors.Unavailable, errors.Overloaded):
                return event
            _log.info("tried_elsewhere", request=request.id, failed=failed, node=request.node, reason=event.code)
            return await self.next(request)
        return event

    async def cancel(self, request: Request) -> None:
        """Stop the node's work for a client that left, and wait a moment for what it counted."""
        if request.stream is None or request.stream.ended:
            return
        await self._control(request.node, Control("cancel", request.ticket, self.id))

    async def _take_back(self, request: Request) -> None:
        try:
            await self._withdraw.run(
                self._client,
                [keys.node_slots(request.node), keys.node_inbox(request.node)],
                [request.ticket, request.payload],
            )
        except RedisError as error:
            _log.warning("withdraw_failed", request=request.id, error=str(error))

    def _leave(self, request: Request) -> None:
        if request.stream is not None and self._streams.pop(request.ticket, None) is not None:
            self.fleet.given(request.node, -1)

    def settle(self, request: Request, outcome: Outcome, error: str = "") -> None:
        """Close the request and queue its usage record; it is written when Redis can be reached."""
        if request.admitted_at is None or not request.node:
            return
        self._leave(request)
        now = time.time()

        def since(moment: float | None, start: float) -> float | None:
            return None if moment is None else round(max(0.0, moment - start) * 1000, 3)

        record = UsageRecord(
            request=request.id,
            tenant=request.tenant,
            key=request.key,
            model=request.model,
            version=request.version,
            node=request.node,
            node_name=request.node_name,
            api=request.api,
            trace=request.trace,
            received_at=request.received_at,
            prompt_tokens=request.prompt_tokens,
            completion_tokens=request.completion_tokens,
            queue_ms=since(request.started_at, request.admitted_at),
            first_token_ms=since(request.first_token_at, request.received_at),
            duration_ms=round((now - request.received_at) * 1000, 3),
            outcome=outcome,
            error=error,
            attempts=request.attempt,
        )
        if len(self._unsettled) >= _MOST_UNSETTLED:
            _log.error("usage_lost", request=request.id, record=record)
            return
        self._unsettled.append(
            _Settlement(request.id, request.ticket, request.tenant, request.node, encode_json(record))
        )
        self._used_keys[request.key] = now
        self._settling.set()

    def later(self, work: Any) -> None:
        """Run a coroutine to its end after the client's request is over."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- loops ----------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """The one reader of all token streams of this process."""
        while True:
            try:
                async with self._listening.pubsub() as subscription:
                    await subscription.psubscribe(keys.tokens("*", self.id))
                    async for message in subscription.listen():
                        if message["type"] == "pmessage":
                            await self._take(message["channel"].decode(), message["data"])
                        elif message["type"] == "psubscribe":
                            await self._renew_lease()
                            self._ready.set()
                            await self._ask_again(0.0)
            except RedisError as error:
                _log.warning("token_channel_disconnected", streams=len(self._streams), error=str(error))
                await asyncio.sleep(0.1)

    async def _take(self, channel: str, data: bytes) -> None:
        node = channel.split(":")[2]
        try:
            frames: list[Frame] = decode_frames(data)
        except msgspec.DecodeError as error:
            _log.warning("frames_unreadable", node=node, error=str(error))
            return
        for frame in frames:
            stream = self._streams.get(frame.ticket)
            if stream is None or (stream.node and stream.node != node):
                await self._disown(node, frame)
            elif not stream.take(frame):
                await self._control(node, Control("resend", frame.ticket, self.id, stream.expected))

    async def _disown(self, node: str, frame: Frame) -> None:
        """Nobody waits for this ticket any more: tell the node to stop it, at most once a second."""
        if frame.events and isinstance(frame.events[-1], Final | Failure):
            return
        now = time.monotonic()
        if now - self._disowned.get(frame.ticket, 0.0) > 1.0:
            self._disowned[frame.ticket] = now
            await self._control(node, Control("cancel", frame.ticket, self.id))

    async def _control(self, node: str, control: Control) -> None:
        try:
            await self._client.publish(keys.node_control(node), encode_control(control))
        except RedisError as error:
            _log.warning("control_failed", node=node, verb=control.verb, ticket=control.ticket, error=str(error))

    async def _ask_again(self, silent_for: float) -> None:
        now = time.monotonic()
        for stream in list(self._streams.values()):
            if stream.node and not stream.ended and now - stream.heard_at >= silent_for:
                await self._control(stream.node, Control("resend", stream.ticket, self.id, stream.expected))

    async def _watch(self) -> None:
        """Each second: renew the lease, notice dead nodes, ask after silent streams (a lost last message leaves no gap to see)."""
        while True:
            await asyncio.sleep(1.0)
            await self._renew_lease()
            for stream in list(self._streams.values()):
                if stream.node and not stream.ended and not self.fleet.alive(stream.node):
                    stream.end(Failure("node_lost", "The node that ran this request stopped answering.", 502))
            await self._ask_again(5.0)
            horizon = time.monotonic() - 60
            self._disowned = {ticket: at for ticket, at in self._disowned.items() if at > horizon}

    async def _renew_lease(self) -> None:
        used, self._used_keys = self._used_keys, {}
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.set(keys.gateway_alive(self.id), b"1", px=LEASE_MS)
                if used:
                    pipe.hset(keys.KEYS_USED, mapping={key: str(at) for key, at in used.items()})
                await pipe.execute()
        except RedisError as error:
            self._used_keys = used | self._used_keys
            _log.warning("lease_not_renewed", error=str(error))

    async def _settle_all(self) -> None:
        """Write what gathered while the last write was under way; when Redis is away keep it and try again."""
        while True:
            await self._settling.wait()
            self._settling.clear()
            try:
                await self._flush()
            except RedisError as error:
                _log.warning("settlement_waits", requests=len(self._unsettled), error=str(error))
                await asyncio.sleep(0.5)
                self._settling.set()

    async def _flush(self) -> None:
        while self._unsettled:
            batch = self._unsettled[:200]
            calls = [
                (
                    [keys.OPEN, keys.USAGE, keys.recent(each.tenant), keys.node_slots(each.node)],
                    [each.request, each.ticket, each.record],
                )
                for each in batch
            ]
            await self._settle.run_all(self._client, calls)
            del self._unsettled[: len(batch)]
