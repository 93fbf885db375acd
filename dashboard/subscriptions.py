"""What one socket has subscribed to: each subscription knows what its reader has, and what to tell it next."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from dashboard.feeds import Feed, Fold, of_nodes
from dashboard.hub import Hub, LiveDetails
from dashboard.messages import Subscribe, TopicEvent, TopicSnapshot, encode
from dashboard.payloads import NodesShown
from dashboard.topics import TOPICS, Topic
from ollamamax.kernel.principal import Principal

_EMPTY = b'{"entries":[]}'


def allowed_nodes(principal: Principal, topic: Topic) -> frozenset[str] | None:
    """The single nodes that the principal may see, where it may not see all; ``None`` for no such bound."""
    if not topic.of_nodes or principal.may(topic.permission):
        return None
    return frozenset(on.removeprefix("node:") for name, on in principal.grants if name == topic.permission)


def may_subscribe(principal: Principal, topic: Topic) -> bool:
    if topic.also and not principal.may(topic.also):
        return False
    return principal.may_somewhere(topic.permission) if topic.of_nodes else principal.may(topic.permission)


class TopicSubscription:
    """Of a topic that has a feed. `begin` once, then `next` whenever the feed has moved."""

    def __init__(self, hub: Hub, tenant: str, asked: Subscribe, allowed: frozenset[str] | None) -> None:
        self.id = asked.id or asked.topic
        self.topic = TOPICS[asked.topic]
        self.allowed = allowed
        self._hub = hub
        self._tenant = tenant
        self._asked = asked
        self._feed: Feed | None = None
        self._has = 0
        """The number of the last that the reader was sent."""
        self._seen = 0
        """The number up to which there was nothing else to send."""
        self._nodes: set[str] | None = None
        """Of rows cut down to some nodes, those."""

    async def open(self, wake: asyncio.Event) -> None:
        """Raises `RedisError`, `DatabaseError`."""
        self._feed = await self._hub.open(self._tenant, self.topic.name)
        self._feed.readers[self] = wake

    def close(self) -> None:
        if self._feed is not None:
            self._feed.readers.pop(self, None)
            self._hub.close(self._tenant, self.topic.name)
            self._feed = None

    async def begin(self) -> bytes | None:
        """The first message: what came after the number that the reader has, or all there is. ``None`` where the reader has all."""
        feed = self._opened()
        after = self._asked.after
        if after is not None and not self._is_cut:
            self._has = self._seen = after
            if after == feed.number:
                return None
            fold = feed.after(after)
            if fold is not None:
                return self._event(fold.number, fold.data)
            missed = await self._hub.missed(feed, after)
            if missed is not None:
                return self._event(feed.number, missed)
        return await self._snapshot("subscribed")

    async def next(self) -> bytes | None:
        """What is to be sent now; ``None`` for nothing."""
        feed = self._opened()
        if feed.number <= self._seen:
            return None
        fold = feed.after(self._seen)
        if fold is None:
            return await self._snapshot("behind")
        if self._nodes is not None:
            return await self._cut(fold, self._nodes)
        if fold.data == _EMPTY:
            self._seen = fold.number
            return None
        return self._event(fold.number, fold.data)

    @property
    def _is_cut(self) -> bool:
        return self.allowed is not None or self._asked.ids is not None or self._asked.limit is not None

    def _opened(self) -> Feed:
        if self._feed is None:
            raise RuntimeError("a subscription is opened before it is read")
        return self._feed

    async def _cut(self, fold: Fold, nodes: set[str]) -> bytes | None:
        """Of rows of some nodes only: others that come, go or are renamed may change which those are."""
        change = fold.decoded
        limited = self._asked.limit is not None
        if limited and (change["whole"] or change["gone"] or any("name" in row for row in change["changed"].values())):
            return await self._snapshot("subscribed")
        cut = of_nodes(change, nodes)
        if cut is None:
            self._seen = fold.number
            return None
        return self._event(fold.number, msgspec.json.encode(cut))

    async def _snapshot(self, reason: Any) -> bytes:
        shown = await self._hub.shown(self._tenant, self.topic.name)
        data = shown.data
        if self._is_cut and isinstance(data, NodesShown):
            data = self._chosen(data)
        self._has = self._seen = shown.seq
        message = TopicSnapshot(
            id=self.id,
            topic=self.topic.name,
            seq=shown.seq,
            at=time.time(),
            reason=reason,
            data=msgspec.Raw(encode(data)),
        )
        return encode(message)

    def _chosen(self, shown: NodesShown) -> NodesShown:
        rows = [
            row
            for row in shown.nodes
            if (self.allowed is None or row.id in self.allowed)
            and (self._asked.ids is None or row.id in self._asked.ids)
        ]
        chosen = rows[: self._asked.limit]
        # Those named may come later: they are waited for.
        named = set(self._asked.ids or self.allowed or ())
        self._nodes = {row.id for row in chosen} | (named if self._asked.limit is None else set())
        if self.allowed is not None:
            self._nodes &= self.allowed
        return NodesShown(chosen, len(rows))

    def _event(self, number: int, data: bytes) -> bytes:
        since, self._has, self._seen = self._has, number, number
        message = TopicEvent(
            id=self.id, topic=self.topic.name, since=since, seq=number, at=time.time(), data=msgspec.Raw(data)
        )
        return encode(message)


class DetailSubscription(TopicSubscription):
    """Of chosen nodes, whole. The tenant's ``fleet`` is its clock."""

    _details: LiveDetails

    async def open(self, wake: asyncio.Event) -> None:
        self._feed = await self._hub.open(self._tenant, "fleet")
        ids = self._ids
        self._details = self._hub.details(self._tenant, ids)
        self._details.readers[self] = wake

    def close(self) -> None:
        if self._feed is not None:
            self._details.readers.pop(self, None)
            self._hub.leave_details(self._tenant, self._ids)
            self._hub.close(self._tenant, "fleet")
            self._feed = None

    async def begin(self) -> bytes | None:
        await self._hub.refresh(self._tenant)
        self._has = self._details.number
        data = self._details.after(0, self._ids) or b'{"nodes":[],"gone":[]}'
        message = TopicSnapshot(
            id=self.id,
            topic=self.topic.name,
            seq=self._has,
            at=time.time(),
            reason="subscribed",
            data=msgspec.Raw(data),
        )
        return encode(message)

    async def next(self) -> bytes | None:
        if self._details.number <= self._has:
            return None
        number = self._details.number
        data = self._details.after(self._has, self._ids)
        if data is None:
            return None
        return self._event(number, data)

    @property
    def _ids(self) -> list[str]:
        asked = self._asked.ids or []
        return [node for node in asked if self.allowed is None or node in self.allowed]


def subscription(hub: Hub, tenant: str, asked: Subscribe, allowed: frozenset[str] | None) -> TopicSubscription:
    made = DetailSubscription if asked.topic == "node" else TopicSubscription
    return made(hub, tenant, asked, allowed)
