"""The door of the live socket: who may enter, what they may subscribe to, and one writer that never sends more than is taken."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

import msgspec
import redis
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from dashboard import messages
from dashboard.callers import Caller, DirectoryReady, caller_of
from dashboard.hub import Hub, hub
from dashboard.messages import Refused, StillThere, Subscribe, TopicEnded, Welcome, encode
from dashboard.subscriptions import TopicSubscription, allowed_nodes, may_subscribe, subscription
from dashboard.topics import TOPICS
from ollamamax import logs
from ollamamax.identity.sockets import group_of
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.tasks import end

UNAUTHENTICATED, FORBIDDEN, TOO_MUCH = 4401, 4403, 4429
TOO_LONG, OTHER_TENANT, UNCHECKED = 1009, 1012, 1011
SEND_SECONDS = 5.0
"""A client that takes nothing for so long is dropped."""
ALIVE_SECONDS = 5.0
REJOIN_SECONDS = 60.0
"""Membership of a group lapses after a day, and with a Redis that lost its data."""
MOST_SOCKETS = 100
"""Of one user or key in one process."""

_log = logs.get(__name__)
_open: Counter[str] = Counter()


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """One socket of one tenant. What it was not sent yet is not kept for it, but folded when it takes the next message."""

    def __init__(self, directory: DirectoryReady | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: dict[str, TopicSubscription] = {}
        self._fresh: list[TopicSubscription] = []
        self._closed = False
        self._counted = ""
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self._allowance, self._asked_at = float(messages.MESSAGES_AT_ONCE), time.monotonic()
        self._sending = asyncio.Lock()
        self._gone = asyncio.Event()
        """Set when the client is given up: not even a closing message would reach it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Until the client leaves or is given up; what was opened for it is given back in any case."""
        served = asyncio.create_task(super().__call__(scope, receive, send))
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait([served, gone], return_when=asyncio.FIRST_COMPLETED)
            if served.done():
                served.result()
        finally:
            await end([served, gone])
            await self._forget()

    async def connect(self) -> None:
        await self.accept()
        self._caller: Caller = caller_of(self.scope, self._directory)
        try:
            principal = await self._caller.who()
        except Exception as error:  # noqa: BLE001 - rights that cannot be checked are rights that are not given
            _log.warning("live_caller_not_checked", error=type(error).__name__)
            await self._leave(UNCHECKED)
            return
        if principal is None or principal.tenant is None:
            await self._leave(UNAUTHENTICATED if principal is None else FORBIDDEN)
            return
        if _open[principal.id] >= MOST_SOCKETS:
            await self._leave(TOO_MUCH)
            return
        _open[principal.id] += 1
        self._counted = principal.id
        self._principal, self._tenant = principal, principal.tenant
        self._group = group_of(principal.id)
        self._hub: Hub = hub()
        await self.channel_layer.group_add(self._group, self.channel_name)
        await self._send(encode(self._welcome()))
        self._tasks = [
            asyncio.create_task(self._write(), name="live-write"),
            asyncio.create_task(self._recheck(), name="live-recheck"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._over)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One message of the client. Those that are too long or too many end the socket; others that are wrong are answered."""
        if self._closed or not self._tasks:
            return
        if bytes_data is not None or len((text_data or "").encode()) > messages.MOST_BYTES:
            await self._leave(TOO_LONG)
            return
        now = time.monotonic()
        earned = (now - self._asked_at) * messages.MESSAGES_PER_SECOND
        self._allowance = min(float(messages.MESSAGES_AT_ONCE), self._allowance + earned) - 1.0
        self._asked_at = now
        if self._allowance < 0:
            await self._leave(TOO_MUCH)
            return
        try:
            asked = messages.decode(text_data or "")
        except (msgspec.MsgspecError, RecursionError) as error:
            await self._send(encode(Refused("invalid_message", str(error)[:300])))
            return
        if isinstance(asked, Subscribe):
            await self._subscribe(asked)
        elif (ended := self._subscriptions.get(asked.id)) is not None:
            await self._end(ended, "unsubscribed", "As it was asked for.")

    async def live_recheck(self, message: dict[str, Any]) -> None:
        """Something about the user or their sessions has changed: look now what it is."""
        del message
        self._told.set()

    def _welcome(self) -> Welcome:
        topics = [name for name, topic in TOPICS.items() if may_subscribe(self._principal, topic)]
        return Welcome(self._tenant, topics)

    async def _subscribe(self, asked: Subscribe) -> None:
        name = asked.id or asked.topic
        topic = TOPICS.get(asked.topic)
        problem = None
        if topic is None:
            problem = Refused("unknown_topic", f"Topics are {', '.join(TOPICS)}.", name)
        elif not may_subscribe(self._principal, topic):
            problem = Refused("forbidden", f"This needs the permission '{topic.permission}'.", name)
        elif name not in self._subscriptions and len(self._subscriptions) >= messages.MOST_SUBSCRIPTIONS:
            most = messages.MOST_SUBSCRIPTIONS
            problem = Refused("too_many_subscriptions", f"A socket has {most} subscriptions at most.", name)
        elif not topic.filters >= {field for field in ("ids", "limit") if getattr(asked, field) is not None}:
            problem = Refused("invalid_message", f"Of '{topic.name}' nothing can be chosen in this way.", name)
        elif topic.name == "node" and asked.ids is None:
            problem = Refused("invalid_message", "'node' needs 'ids'.", name)
        if problem is not None or topic is None:
            await self._send(encode(problem))
            return
        made = subscription(self._hub, self._tenant, asked, allowed_nodes(self._principal, topic))
        self._drop(self._subscriptions.get(name))
        self._subscriptions[name] = made
        self._fresh.append(made)
        self._wake.set()

    async def _write(self) -> None:
        """Sends what is new of each subscription, in turns; while the client takes nothing, nothing is made for it."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_SECONDS):
                    await self._wake.wait()
            if not self._wake.is_set():
                await self._send(encode(StillThere(time.time())))
            self._wake.clear()
            fresh, self._fresh = self._fresh, []
            for begun in fresh:
                if self._subscriptions.get(begun.id) is begun:
                    await self._told_of(begun, begin=True)
            for known in list(self._subscriptions.values()):
                if known not in self._fresh and self._subscriptions.get(known.id) is known:
                    await self._told_of(known, begin=False)

    async def _told_of(self, one: TopicSubscription, *, begin: bool) -> None:
        try:
            if begin:
                await one.open(self._wake)
            message = await (one.begin() if begin else one.next())
        except (redis.RedisError, OSError, DatabaseError) as error:
            _log.warning("live_topic_failed", topic=one.topic.name, error=type(error).__name__)
            await self._end(one, "unavailable", "This cannot be read now. Subscribe again in a moment.")
            return
        # While it was read, the rights to it may have ended.
        if message is not None and self._subscriptions.get(one.id) is one:
            await self._send(message)

    async def _recheck(self) -> None:
        """End what the caller may no longer see, and the socket with their session, their key or their tenant."""
        code, joined = UNCHECKED, time.monotonic()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._caller.recheck_seconds):
                        await self._told.wait()
                self._told.clear()
                principal = await self._caller.who()
                if principal is None or principal.tenant != self._tenant:
                    code = (
                        UNAUTHENTICATED
                        if principal is None
                        else FORBIDDEN
                        if principal.tenant is None
                        else OTHER_TENANT
                    )
                    break
                await self._take_over(principal)
                if time.monotonic() - joined > REJOIN_SECONDS:
                    joined = time.monotonic()
                    await self.channel_layer.group_add(self._group, self.channel_name)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - rights that cannot be checked are rights that are not given
            _log.warning("live_recheck_failed", error=type(error).__name__)
        await self._leave(code)

    async def _take_over(self, principal: Principal) -> None:
        """The rights that the caller has now: subscriptions that they do not cover any more end."""
        if principal == self._principal:
            return
        before, self._principal = self._welcome().topics, principal
        for held in list(self._subscriptions.values()):
            if not may_subscribe(principal, held.topic) or allowed_nodes(principal, held.topic) != held.allowed:
                await self._end(held, "forbidden", f"This needs the permission '{held.topic.permission}'.")
        welcome = self._welcome()
        if welcome.topics != before:
            await self._send(encode(welcome))

    async def _end(self, held: TopicSubscription, code: Any, detail: str) -> None:
        self._drop(held)
        await self._send(encode(TopicEnded(held.id, held.topic.name, code, detail)))

    def _drop(self, held: TopicSubscription | None) -> None:
        if held is not None and self._subscriptions.get(held.id) is held:
            del self._subscriptions[held.id]
            held.close()

    async def _send(self, message: bytes) -> None:
        if self._closed:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS), self._sending:
                await self.send(text_data=message.decode())
        except TimeoutError:
            _log.info("live_client_too_slow", caller=self._principal.id)
            self._closed = True
            self._gone.set()
        except OSError:
            # It left while this was on its way.
            self._closed = True
            self._gone.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        """A defect of one of the two tasks ends the socket: a page that hears nothing must not take that for calm."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("live_socket_failed", part=task.get_name(), exc_info=error)
            self._gone.set()

    async def _leave(self, code: int) -> None:
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                await self.close(code)

    async def _forget(self) -> None:
        self._closed = True
        if self._counted:
            _open[self._counted] -= 1
            if not _open[self._counted]:
                del _open[self._counted]
            self._counted = ""
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        for held in list(self._subscriptions.values()):
            self._drop(held)
        if (group := getattr(self, "_group", None)) is not None:
            await self.channel_layer.group_discard(group, self.channel_name)
