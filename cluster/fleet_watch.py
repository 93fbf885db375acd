"""Looks at the fleet again and again: reads what is known of it, has it judged, publishes how it is, and writes its history. Redis only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec
import redis

from cluster import guard
from cluster.fleet_series import SeenFleet
from cluster.health.judge import judge
from cluster.health.memory import Memory, decode_memory, encode_memory
from cluster.health.snapshot import SeenLoop, SeenModel, SeenNode, Snapshot
from cluster.history.recorder import Recorder
from cluster.prediction.predictor import Predictor
from cluster.telemetry import Models, read_vitals
from cluster.worker.version import AGENT
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract.health import FleetHealth, decode_failed_jobs, encode_health
from ollamamax.contract.loop_state import decode_loop_state
from ollamamax.contract.measured import EndedBatch, decode_ended
from ollamamax.contract.tables import MODELS, NODES, Registered

EVERY = 5.0
SAVED_SECONDS = 15.0
MOST_TAKEN = 5_000
OLD_SECONDS = 60.0
"""What ended longer ago than that says nothing of how the fleet is now."""
TAKEN_SECONDS = 600
"""After which what was taken and could not be written is given up: nothing stands in the way of what comes for ever."""
_TAKE = """
if redis.call('EXISTS', KEYS[2]) == 0 then
  for _, each in ipairs(redis.call('LPOP', KEYS[1], ARGV[1]) or {}) do
    redis.call('RPUSH', KEYS[2], each)
  end
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return redis.call('LRANGE', KEYS[2], 0, -1)
"""
_MARK = b""
"""The field of a directory table that says whether all of it was published; see `ollamamax.bus.directory`."""
_QUEUES_AT_ONCE = 500
_LENGTHS = """
-- KEYS: lists. Returns how many entries they have together.
local sum = 0
for _, name in ipairs(KEYS) do
  sum = sum + (tonumber(redis.pcall('LLEN', name)) or 0)
end
return sum
"""
_log = logs.get(__name__)


class FleetWatch:
    """Of one region. What it keeps in memory besides what is in Redis spares it decoding what has not changed."""

    def __init__(self, region: str = "") -> None:
        self.seen: SeenFleet | None = None
        """What the last look saw, for whoever asks for it in another thread."""
        self._region = region
        self._fence = -1
        self._memory = Memory()
        self._saved = 0.0
        self._directory = b""
        self._nodes: dict[str, Registered] = {}
        self._models: list[SeenModel] = []
        self._held = Models()
        self._published: set[str] = set()
        self._recorder = Recorder()
        self._predictor = Predictor()

    def look(
        self, client: redis.Redis, *, fence: int = 0, now: float | None = None, check: Callable[[], None] = lambda: None
    ) -> dict[str, FleetHealth]:
        """One look. Returns what it published, by tenant. ``check`` raises when another process does this by now. Raises `RedisError`."""
        at = _now(client) if now is None else now
        if fence != self._fence:
            self._take_over(client, fence)
        check()
        batches = self._take_ended(client)
        snapshot = self._snapshot(client, at, batches)
        try:
            reports = judge(snapshot, self._memory, self._predictor.look(snapshot))
            check()
            self._publish(client, reports)
            self._recorder.put(client, at, snapshot.nodes, reports, batches, keys.ENDED_TAKEN)
        except BaseException:
            # What ended is looked at again: it must not be remembered already.
            self._fence = -1
            raise
        self.seen = SeenFleet(self._region, snapshot, reports, self._celery_messages(client))
        if abs(at - self._saved) >= SAVED_SECONDS:
            client.set(keys.HEALTH_MEMORY, encode_memory(self._memory))
            self._saved = at
        return reports

    def _take_over(self, client: redis.Redis, fence: int) -> None:
        """Go on from what the leader before remembered."""
        self._fence, self._memory = fence, Memory()
        saved = cast("bytes | None", client.get(keys.HEALTH_MEMORY))
        if saved is not None:
            try:
                self._memory = decode_memory(saved)
            except msgspec.MsgspecError:
                _log.info("health_memory_of_another_version")
        self._published = {each.decode() for each in cast("list[bytes]", client.hkeys(keys.HEALTH))}

    def _take_ended(self, client: redis.Redis) -> list[EndedBatch]:
        """What gateways counted since the last look. It is taken until it is written (`Recorder.put`): what a look that was ended took,
        by whatever, is what the next one takes."""
        taken = client.eval(_TAKE, 2, keys.ENDED, keys.ENDED_TAKEN, str(MOST_TAKEN), str(TAKEN_SECONDS))
        return _batches(cast("list[bytes]", taken))

    def _snapshot(self, client: redis.Redis, now: float, batches: list[EndedBatch]) -> Snapshot:
        self._read_directory(client)
        ids = list(self._nodes)
        vitals, ignored = read_vitals(client, ids, self._held)
        problems = guard.problems(client, ids, ignored)
        cuts = {node for node, cut in guard.held_cuts(client).items() if not cut.over}
        with client.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.LOOPS)
            pipe.hgetall(keys.FAILED_JOBS)
            pipe.xlen(keys.USAGE)
            pipe.xlen(keys.USAGE_REFUSED)
            pipe.zcard(keys.WAITING)
            loops, jobs, waiting, refused, queued = pipe.execute()
        held = self._held
        return Snapshot(
            now=now,
            version=AGENT,
            nodes=[
                SeenNode(
                    node,
                    registered,
                    vitals.get(node),
                    held.failed.get(node, ()),
                    node in held.loading,
                    problems.get(node, ""),
                    node in cuts,
                )
                for node, registered in self._nodes.items()
            ],
            models=self._models,
            holders=held.holders,
            coming=held.coming,
            fetching={node for nodes in held.coming.values() for node in nodes},
            ended=[each for batch in batches if abs(now - batch.at) <= OLD_SECONDS for each in batch.ended],
            queued=self._queued(client) if queued else {},
            failed_jobs={tenant.decode(): decode_failed_jobs(value) for tenant, value in jobs.items()},
            loops=list(_loops(loops.values(), now)),
            usage_waiting=waiting,
            usage_refused=refused,
        )

    def _read_directory(self, client: redis.Redis) -> None:
        """Which nodes and models there are, when any of that was published anew."""
        number = cast("bytes | None", client.get(keys.DIRECTORY_VERSION)) or b"-"
        if number == self._directory:
            return
        nodes = _entries(client, NODES.name)
        models = _entries(client, MODELS.name)
        self._nodes = {node: NODES.decode(value) for node, value in nodes.items()}
        self._models = []
        for field, value in models.items():
            tenant, _, name = field.partition("/")
            listed = MODELS.decode(value)
            # Under "*" a shared model is listed once more, for everybody.
            if len(tenant) == 32:
                self._models.append(SeenModel(tenant, name, listed.version, listed.model.removeprefix("model:")))
        self._held.keep(self._nodes.keys())
        self._directory = number

    def _queued(self, client: redis.Redis) -> dict[str, int]:
        """Tenant -> how many of its requests wait, of those tenants that have nodes or models."""
        tenants = sorted({node.tenant for node in self._nodes.values()} | {model.tenant for model in self._models})
        with client.pipeline(transaction=False) as pipe:
            for tenant in tenants:
                pipe.zcard(keys.queue_tenant(tenant))
            return {tenant: count for tenant, count in zip(tenants, pipe.execute(), strict=True) if count}

    def _celery_messages(self, client: redis.Redis) -> int:
        """How many lie in the queues of all nodes."""
        queues = [keys.node_queue(node) for node in self._nodes]
        parts = [queues[first : first + _QUEUES_AT_ONCE] for first in range(0, len(queues), _QUEUES_AT_ONCE)]
        return sum(int(cast("int", client.eval(_LENGTHS, len(part), *part))) for part in parts)

    def _publish(self, client: redis.Redis, reports: Mapping[str, FleetHealth]) -> None:
        gone = self._published - reports.keys()
        with client.pipeline(transaction=False) as pipe:
            pipe.hset(
                keys.HEALTH, mapping=cast("Any", {tenant: encode_health(report) for tenant, report in reports.items()})
            )
            if gone:
                pipe.hdel(keys.HEALTH, *gone)
            pipe.execute()
        self._published = set(reports)


def _now(client: redis.Redis) -> float:
    """By Redis's clock, as gateways tell when requests ended, and as it is told how old a judgement is."""
    seconds, micro = cast("tuple[int, int]", client.time())
    return seconds + micro / 1e6


def _entries(client: redis.Redis, table: str) -> dict[str, bytes]:
    found = cast("dict[bytes, bytes]", client.hgetall(keys.directory(table)))
    return {field.decode(): value for field, value in found.items() if field != _MARK}


def _batches(values: Iterable[bytes]) -> list[EndedBatch]:
    found = []
    for value in values:
        try:
            found.append(decode_ended(value))
        except msgspec.MsgspecError:
            _log.info("counts_of_another_version")
    return found


def _loops(values: Iterable[bytes], now: float) -> Iterable[SeenLoop]:
    for state in map(decode_loop_state, values):
        ago, every, took = max(0.0, now - state.began_at), state.every_ms / 1000, state.took_ms / 1000
        yield SeenLoop(state.loop, ago, every, took, state.error)
