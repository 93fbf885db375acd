"""The hub of a web process: reads the events of every topic that any of its sockets has subscribed to, once for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import redis
import redis.asyncio
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from dashboard.feeds import Feed
from dashboard.payloads import LiveNode, NodeDetails, encode
from dashboard.queries import live, trail
from dashboard.queries.live import Shown
from dashboard.topics import PUBLISHED, TOPICS
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.connect import connect_async
from ollamamax.kernel.tasks import end

READ_MILLISECONDS = 200
"""How long one reading waits for events; a topic that is new is read from the next reading on."""
ASK_SECONDS = 0.5
"""Between two looks at Postgres, for topics that are told from there."""
WATCHED_SECONDS = 15.0
RENEW_SECONDS = 5.0
_PAUSE = 0.5

_log = logs.get(__name__)


class LiveDetails:
    """Chosen nodes of one tenant, whole: what all its sockets want, read once a second."""

    def __init__(self) -> None:
        self.wanted: Counter[str] = Counter()
        self.number = 0
        self._known: dict[str, tuple[int, bytes, LiveNode]] = {}
        self._gone: dict[str, int] = {}
        self.readers: dict[object, asyncio.Event] = {}

    def take(self, found: NodeDetails) -> None:
        """What the nodes say now; those that say something new have a new number."""
        number = max(int(time.time() * 1000), self.number + 1)
        changed = False
        for node in found.nodes:
            known = self._known.get(node.id)
            if known is None or known[2] != node:
                self._known[node.id] = (number, encode(node), node)
                self._gone.pop(node.id, None)
                changed = True
        for gone in found.gone:
            if gone not in self._gone:
                self._known.pop(gone, None)
                self._gone[gone] = number
                changed = True
        if changed:
            self.number = number
            for wake in self.readers.values():
                wake.set()

    def after(self, number: int, ids: Collection[str]) -> bytes | None:
        """Those of the nodes that changed after ``number``, as one event's data; ``None`` when none did."""
        nodes = [known[1] for node in ids if (known := self._known.get(node)) is not None and known[0] > number]
        gone = [node for node in ids if self._gone.get(node, 0) > number]
        if not nodes and not gone:
            return None
        return b'{"nodes":[' + b",".join(nodes) + b'],"gone":' + msgspec.json.encode(gone) + b"}"

    def forget(self, ids: Iterable[str]) -> None:
        for node in ids:
            self.wanted[node] -= 1
            if self.wanted[node] <= 0:
                del self.wanted[node]
                self._known.pop(node, None)
                self._gone.pop(node, None)


class Hub:
    """One for each event loop (`hub`). Works while anybody has subscribed to anything."""

    def __init__(self) -> None:
        self._client: redis.asyncio.Redis = connect_async(settings.REDIS_URL)
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._held: Counter[tuple[str, str]] = Counter()
        self._details: dict[str, LiveDetails] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, tenant: str, topic: str) -> Feed:
        """The feed of a topic, from now on read; `close` it once for each time it was opened. Raises `RedisError`, `DatabaseError`."""
        key = (tenant, topic)
        self._held[key] += 1
        try:
            if key not in self._feeds:
                feed = await self._begun(tenant, topic)
                self._feeds.setdefault(key, feed)
            await self._watch([tenant])
        except BaseException:
            self.close(tenant, topic)
            raise
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._for_ever(work, pause), name=f"live-{name}")
                for name, work, pause in (
                    ("read", self._read, 0.0),
                    ("ask", self._ask, ASK_SECONDS),
                    ("watch", self._renew, RENEW_SECONDS),
                )
            ]
        return self._feeds[key]

    def close(self, tenant: str, topic: str) -> None:
        key = (tenant, topic)
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]
            self._feeds.pop(key, None)
        if not self._held:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def details(self, tenant: str, ids: Collection[str]) -> LiveDetails:
        """Wants these nodes whole; `leave_details` ends that. Read at each event of the tenant's ``fleet``, which must be open."""
        details = self._details.setdefault(tenant, LiveDetails())
        details.wanted.update(ids)
        return details

    def leave_details(self, tenant: str, ids: Collection[str]) -> None:
        details = self._details[tenant]
        details.forget(ids)
        if not details.wanted:
            del self._details[tenant]

    async def refresh(self, tenant: str) -> None:
        """Read the nodes that are wanted whole. Raises `RedisError`."""
        details = self._details.get(tenant)
        if details is not None and details.wanted:
            details.take(await live.node_details(self._client, tenant, list(details.wanted)))

    async def shown(self, tenant: str, topic: str) -> Shown:
        """All of a topic as it is. Raises `RedisError`, `DatabaseError`."""
        if topic in PUBLISHED:
            return await live.shown(self._client, tenant, topic)
        if topic in trail.ROWS:
            return Shown(self._feeds[tenant, topic].number, await database_sync_to_async(trail.ROWS[topic])(tenant))
        return Shown(*(await database_sync_to_async(trail.trail)(tenant, topic)))

    async def missed(self, feed: Feed, after: int) -> bytes | None:
        """Of a topic whose events Postgres holds, what came after number ``after`` up to the feed's. Raises `DatabaseError`."""
        if feed.topic.name not in trail.TARGETS:
            return None
        found = await database_sync_to_async(trail.missed)(feed.tenant, feed.topic.name, after, feed.number)
        return None if found is None else encode(found)

    async def stop(self) -> None:
        await end(self._tasks)
        self._tasks = []
        await self._client.aclose()

    async def _begun(self, tenant: str, topic: str) -> Feed:
        feed = Feed(tenant, TOPICS[topic])
        if topic in PUBLISHED:
            numbers = keys.live_numbers(tenant)
            # A topic that has no number yet is given its first one, which the next event follows.
            await self._client.hsetnx(numbers, topic, str(int(time.time() * 1000)))
            # The number first: what comes in between is read from the stream all the same.
            number = int(await self._client.hget(numbers, topic) or 0)
            events: Any = await self._client.xrange(keys.live_events(tenant, topic), "-", "+")
            feed.number = _number(events[0][0]) - 1 if events else number
            for id_, fields in events:
                feed.push(_number(id_), fields[b"d"])
        elif topic in trail.TARGETS:
            feed.number = (await database_sync_to_async(trail.numbers)([tenant]))[tenant]
        else:
            feed.number = int(time.time() * 1000)
        return feed

    async def _for_ever(self, work: Any, pause: float) -> None:
        while True:
            try:
                await work()
                await asyncio.sleep(pause)
            except (redis.RedisError, OSError, DatabaseError) as error:
                _log.warning("live_hub_failed", error=type(error).__name__)
                await asyncio.sleep(_PAUSE)

    async def _read(self) -> None:
        feeds = {keys.live_events(*key): feed for key, feed in self._feeds.items() if key[1] in PUBLISHED}
        if not feeds:
            await asyncio.sleep(READ_MILLISECONDS / 1000)
            return
        streams: Any = {name: f"{feed.number}-0" for name, feed in feeds.items()}
        found: Any = await self._client.xread(streams, block=READ_MILLISECONDS)
        ticked = set()
        for name, events in found or ():
            feed = feeds[name.decode()]
            for id_, fields in events:
                number = _number(id_)
                if number > feed.number + 1:
                    feed.lose(number - 1)
                feed.push(number, fields[b"d"])
            if feed.topic.name == "fleet":
                ticked.add(feed.tenant)
        for tenant in ticked & self._details.keys():
            await self.refresh(tenant)

    async def _ask(self) -> None:
        trails = [feed for (_, topic), feed in self._feeds.items() if topic in trail.TARGETS]
        if trails:
            numbers = await database_sync_to_async(trail.numbers)({feed.tenant for feed in trails})
            for feed in trails:
                last = numbers[feed.tenant]
                if last > feed.number:
                    entries = await database_sync_to_async(trail.missed)(
                        feed.tenant, feed.topic.name, feed.number, last
                    )
                    if entries is None:
                        feed.lose(last)
                    else:
                        feed.push(last, encode(entries))
        for feed in [feed for (_, topic), feed in self._feeds.items() if topic in trail.ROWS]:
            data = encode(await database_sync_to_async(trail.ROWS[feed.topic.name])(feed.tenant))
            last_told = feed.after(feed.number - 1)
            if last_told is None or last_told.data != data:
                feed.push(max(int(time.time() * 1000), feed.number + 1), data)

    async def _renew(self) -> None:
        await self._watch({tenant for tenant, _ in self._feeds})

    async def _watch(self, tenants: Collection[str]) -> None:
        """Have their topics published; that lapses by itself."""
        until = time.time() + WATCHED_SECONDS
        if tenants:
            await self._client.zadd(keys.LIVE_WATCHED, dict.fromkeys(tenants, until))


def _number(id_: bytes) -> int:
    return int(id_.partition(b"-")[0])


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


async def stop_hub() -> None:
    """End what the hub of this event loop does, if there is one."""
    with contextlib.suppress(KeyError):
        await _hubs.pop(asyncio.get_running_loop()).stop()
