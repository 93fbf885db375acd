"""Writes what is seen of the fleet into the hour's series in Redis, once for each step, whether or not anybody looks at a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import redis
from redis.client import Pipeline

from cluster.health.snapshot import SeenNode
from ollamamax.bus import keys
from ollamamax.contract import Gpu, Vitals
from ollamamax.contract.health import FleetHealth
from ollamamax.contract.history import FINEST, HOUR, MOST_CARDS, SCALE, Gauges, counted, encode_entry, tenths
from ollamamax.contract.measured import MOST_SPEED, Ended, EndedBatch

KEPT_SECONDS = 25 * HOUR
LATE_SECONDS = 60
"""So late a gateway's counts may come to be put into the step in which their requests ended; later, they are in the present one."""
_MOST_LOAD = 1000.0
"""Percent of a processor or a card; some tools count each core as a hundred."""
_COLDEST, _HOTTEST = -50.0, 250.0
_MOST_WATTS = 10_000.0


def node_series(node: str) -> str:
    return f"n:{node}"


def model_series(tenant: str, model: str) -> str:
    return f"m:{tenant}/{model}"


def served_series(owner: str, model: str) -> str:
    """What other tenants asked of a model on this one's nodes."""
    return f"s:{owner}/{model}"


def tenant_series(tenant: str) -> str:
    return f"t:{tenant}"


class Recorder:
    """``put`` at every look; it writes when a step is over."""

    def __init__(self) -> None:
        self._step = -1
        self._tokens: dict[str, tuple[str, int, float]] = {}
        """Node -> its boot, its count of tokens, and when that was."""
        self._known: tuple[int, set[str]] = (-1, set())
        """The series of an hour that Redis knows of."""

    def put(
        self,
        client: redis.Redis,
        now: float,
        nodes: Sequence[SeenNode],
        reports: Mapping[str, FleetHealth],
        batches: Iterable[EndedBatch],
        taken: str,
    ) -> int:
        """Returns how many entries were written. In the same step the key ``taken`` is removed, from which ``batches`` were read: so
        that each is written once. Raises `RedisError`."""
        entries: list[tuple[int, str, str, bytes]] = list(
            _requests(batches, now, {node.id: node.registered.tenant for node in nodes})
        )
        step = int(now) - int(now) % FINEST
        if step != self._step:
            self._step = step
            entries += self._gauges(step, now, nodes, reports)
        entries = [each for each in entries if each[3]]
        self._write(client, entries, taken)
        return len(entries)

    def _gauges(
        self, step: int, now: float, nodes: Sequence[SeenNode], reports: Mapping[str, FleetHealth]
    ) -> Iterable[tuple[int, str, str, bytes]]:
        speeds: dict[str, float] = {}
        known: dict[str, tuple[str, int, float]] = {}
        for node in nodes:
            vitals = node.vitals
            if vitals is None:
                continue
            speed = self._speed(node.id, vitals, now, known)
            tenant = node.registered.tenant
            if 0.0 <= speed <= MOST_SPEED:
                speeds[tenant] = speeds.get(tenant, 0.0) + speed
            values = [
                vitals.running * SCALE,
                vitals.waiting * SCALE,
                vitals.capacity * SCALE,
                tenths(speed, 0.0, MOST_SPEED),
                tenths(vitals.cpu_percent, 0.0, _MOST_LOAD),
                _percent(vitals.memory_used, vitals.memory_total),
            ]
            data = encode_entry(Gauges(step, values, [_gpu(gpu) for gpu in vitals.gpus[:MOST_CARDS]]))
            yield step, node_series(node.id), tenant, data
        self._tokens = known
        for tenant, report in reports.items():
            if not tenant:
                continue
            counts = report.counts
            up = counts.nodes - counts.silent
            numbers = (up, counts.capacity, counts.running, counts.queued)
            values = [*(each * SCALE for each in numbers), tenths(speeds.get(tenant, 0.0), 0.0, 1e12)]
            yield step, tenant_series(tenant), tenant, encode_entry(Gauges(step, values))

    def _speed(self, node: str, vitals: Vitals, now: float, known: dict[str, tuple[str, int, float]]) -> float:
        """Tokens a second since the step before; of an older agent what it says of the last second."""
        total = vitals.tokens_total
        if total is None:
            return vitals.tokens_per_second
        known[node] = (vitals.boot, total, now)
        boot, had, at = self._tokens.get(node, ("", 0, 0.0))
        if boot != vitals.boot or not 0.0 < now - at < 10 * FINEST or total < had:
            return vitals.tokens_per_second
        return (total - had) / (now - at)

    def _write(self, client: redis.Redis, entries: Sequence[tuple[int, str, str, bytes]], taken: str) -> None:
        """Each is the step, the series, its tenant, and the entry: all of them are written, or none."""
        with client.pipeline(transaction=True) as pipe:
            for step, series, _, data in entries:
                pipe.append(keys.history(step // HOUR, series), data)
            for step, series, tenant, _ in entries:
                if self._is_new(step // HOUR, series):
                    _keep(pipe, step // HOUR, series, tenant)
            pipe.delete(taken)
            lengths = pipe.execute()[: len(entries)]
            # A key that holds nothing but this entry was not there: where it should have been Redis has lost what it had.
            for (step, series, tenant, data), length in zip(entries, lengths, strict=True):
                if length == len(data):
                    _keep(pipe, step // HOUR, series, tenant)
            if pipe:
                pipe.execute()

    def _is_new(self, hour: int, series: str) -> bool:
        """Whether this process has not written to it in this hour; what is late, for the hour before, counts as new."""
        if hour > self._known[0]:
            self._known = hour, set()
        if hour < self._known[0]:
            return True
        held = self._known[1]
        if series in held:
            return False
        held.add(series)
        return True


def _keep(pipe: Pipeline, hour: int, series: str, tenant: str) -> None:
    """Let the series be found when its hour is over, and not stay for ever."""
    pipe.expire(keys.history(hour, series), KEPT_SECONDS)
    pipe.hset(keys.history_series(hour), series, tenant)
    pipe.expire(keys.history_series(hour), KEPT_SECONDS)


def _requests(
    batches: Iterable[EndedBatch], now: float, owners: Mapping[str, str]
) -> Iterable[tuple[int, str, str, bytes]]:
    """What ended, summed up for each tenant, model and node in its step. A node's are its owner's, whoever asked for them."""
    sums: dict[tuple[int, str, str], Ended] = {}
    for batch in batches:
        moment = int(batch.at if 0 <= now - batch.at <= LATE_SECONDS else now)
        step = moment - moment % FINEST
        for ended in batch.ended:
            tenant = ended.tenant
            series = [(tenant_series(tenant), tenant)]
            if ended.model:
                series.append((model_series(tenant, ended.model), tenant))
            if ended.node in owners:
                owner = owners[ended.node]
                series.append((node_series(ended.node), owner))
                if ended.model and owner != tenant:
                    series.append((served_series(owner, ended.model), owner))
            for each, whose in series:
                held = sums.get((step, each, whose))
                if held is None:
                    held = sums[(step, each, whose)] = Ended(whose, "", "")
                held.add(ended)
    for (step, series_name, tenant), ended in sums.items():
        yield step, series_name, tenant, encode_entry(counted(step, ended))


def _gpu(gpu: Gpu) -> list[int | None]:
    used, total = gpu.memory_used, gpu.memory_total
    memory = None if used is None or total is None else _percent(used, total)
    return [
        tenths(gpu.load_percent, 0.0, _MOST_LOAD),
        memory,
        tenths(gpu.temperature_celsius, _COLDEST, _HOTTEST),
        tenths(gpu.power_watts, 0.0, _MOST_WATTS),
    ]


def _percent(used: int, total: int) -> int | None:
    return tenths(100 * used / total, 0.0, 100.0) if total > 0 else None
