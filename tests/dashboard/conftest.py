"""An empty Redis, a fleet of the owner's tenant, and a reader of its live topics who applies each event as a client does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import redis
import redis.asyncio
from django.conf import settings

from dashboard.actions import live
from dashboard.queries.live import shown
from dashboard.topics import PUBLISHED
from ollamamax.bus import keys
from ollamamax.bus.connect import connect, connect_async
from ollamamax.kernel.ids import new_id
from tests.dashboard.fleet import Fleet


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with connect(settings.REDIS_URL) as opened:
        opened.flushdb()
        yield opened


@pytest_asyncio.fixture
async def aclient(client: redis.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect_async(settings.REDIS_URL) as opened:
        yield opened


@pytest.fixture
def fleet(client: redis.Redis) -> Fleet:
    return Fleet(client, new_id())


class Reader:
    """Holds what a client holds of each published topic, and reads the events that follow."""

    def __init__(self, client: redis.asyncio.Redis, tenant: str) -> None:
        self._client = client
        self._tenant = tenant
        self.seq: dict[str, int] = {}
        self.held: dict[str, dict[str, Any]] = {}

    async def begin(self) -> None:
        for topic in PUBLISHED:
            found = await shown(self._client, self._tenant, topic)
            self.seq[topic] = found.seq
            self.held[topic] = applied(topic, None, msgspec.to_builtins(found.data))

    async def news(self, topic: str) -> list[dict[str, Any]]:
        """The data of the events since the last call, each applied."""
        last = self.seq.get(topic, 0)
        events: Any = await self._client.xrange(keys.live_events(self._tenant, topic), f"({last}-0", "+")
        found = []
        for id_, fields in events:
            number = int(id_.partition(b"-")[0])
            assert last == 0 or number == last + 1 or topic not in self.held, "an event is missing"
            self.seq[topic] = last = number
            found.append(msgspec.json.decode(fields[b"d"]))
            if topic in self.held:
                self.held[topic] = applied(topic, self.held[topic], found[-1])
        return found

    async def one(self, topic: str) -> dict[str, Any]:
        events = await self.news(topic)
        assert len(events) == 1
        return events[0]


def applied(topic: str, held: dict[str, Any] | None, data: Mapping[str, Any]) -> dict[str, Any]:
    """What `frontend/src/live/topics.ts` makes of a snapshot (``held`` is ``None``) or of an event, in this form."""
    if topic in {"nodes", "models"}:
        key = "id" if topic == "nodes" else "name"
        if held is None:
            return {"rows": {row[key]: row for row in data[topic]}}
        rows = {} if data["whole"] else dict(held["rows"])
        for name, fields in data["changed"].items():
            rows[name] = rows.get(name, {}) | fields
        for name in data["gone"]:
            rows.pop(name, None)
        return {"rows": rows}
    if topic == "health":
        if held is None:
            found = {row["key"]: row for row in data["findings"]}
        else:
            found = ({} if data["whole"] else dict(held["findings"])) | data["changed"]
            for key in data["gone"]:
                found.pop(key, None)
        # When it was judged is told along, and alone is no news.
        return {"state": data["state"], "counts": data["counts"], "findings": found}
    if topic == "system":
        return {"state": data["state"], "findings": data["findings"]}
    if topic == "requests":
        running = {} if held is None or data.get("whole") else dict(held["running"])
        for request in data.get("ended", ()):
            running.pop(request, None)
        running |= {each["request"]: each for each in data["running"]}
        fresh = {each["request"] for each in data["finished"]}
        older = [] if held is None else [each for each in held["finished"] if each["request"] not in fresh]
        return {"running": running, "total": data["running_total"], "finished": [*data["finished"], *older]}
    if topic == "fleet":
        return {"series": [*(held or {"series": []})["series"], *data.get("points", data.get("series", []))]}
    return dict(data)


@pytest.fixture
def reader(fleet: Fleet, aclient: redis.asyncio.Redis) -> Reader:
    return Reader(aclient, fleet.tenant)


async def publish(client: redis.asyncio.Redis, *, now: float | None = None) -> int:
    """One run of both loops, by their leader; for how many tenants."""
    fence = await lead(client)
    await live.publish_requests(client, fence=fence, now=now)
    return await live.publish_live(client, fence=fence, now=now)


async def lead(client: redis.asyncio.Redis) -> int:
    """The number under which a new process leads."""
    fence: int = await client.incr(keys.LOOPS_FENCE)
    return fence
