"""Reads the past of nodes, GPUs, models and tenants: what Redis holds of the last day, and of the time before what Postgres holds."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import cast

from redis.exceptions import RedisError

from cluster.history.recorder import model_series, node_series, served_series, tenant_series
from cluster.models import HistoryRow
from cluster.queries.node import get_node
from ollamamax.bus import keys, regions
from ollamamax.contract.history import (
    DAY,
    FINEST,
    GPU_GAUGES,
    HOUR,
    MINUTE,
    NODE_GAUGES,
    SCALE,
    TENANT_GAUGES,
    CountedStep,
    Entry,
    Gauges,
    fold,
    unpack,
)
from ollamamax.contract.measured import percentile
from ollamamax.kernel.errors import Forbidden, InvalidRequest, Unavailable
from ollamamax.kernel.principal import Principal

MOST_POINTS = 2_000
"""Of one series in one answer."""
MOST_SERIES = 20
MOST_IN_ALL = 10_000
STEPS = (10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_IN_REDIS = 24 * HOUR
_MINUTES = 7 * DAY
_COUNTS = ("requests", "failed", "cancelled", "refused", "prompt_tokens", "completion_tokens")
_FIRST_TOKEN = {"first_token_p50_ms": 0.5, "first_token_p95_ms": 0.95}
Column = list[float | None]


@dataclass
class Series:
    """``at``: the beginning of each step, in Unix seconds, without holes; a value is ``None`` where nothing was measured.
    ``errors``: failed requests by the error's code."""

    series: str
    at: list[int]
    values: dict[str, Column] = field(default_factory=dict)
    errors: dict[str, Column] = field(default_factory=dict)


def history(
    acting: Principal,
    names: Sequence[str],
    *,
    since: datetime.datetime,
    until: datetime.datetime,
    step: int,
    now: float,
) -> list[Series]:
    """Each series from ``since`` to ``until`` in steps of so many seconds. Raises `InvalidRequest` for what is too much or no series,
    `NotFound` and `Forbidden`, and `Unavailable`. Queries: 1 for each series, and for each node or card one more."""
    first = int(since.timestamp()) // step * step
    last = min(int(until.timestamp()), int(now)) // step * step
    count = max(0, (last - first) // step + 1)
    if step not in STEPS:
        raise InvalidRequest(f"A step is one of {', '.join(map(str, STEPS))} seconds.", param="step")
    if count > MOST_POINTS or count * len(names) > MOST_IN_ALL:
        raise InvalidRequest(
            f"That is {count * len(names)} points, of which one answer has at most {MOST_POINTS} of a series and {MOST_IN_ALL} in all: "
            "ask for a longer step.",
            param="step",
        )
    at = list(range(first, first + count * step, step))
    return [_series(acting, name, at, step, now) for name in names]


def finest_step(since: datetime.datetime, until: datetime.datetime, now: float, points: int = 300) -> int:
    """The shortest step with at most so many points for which there is data from ``since`` on."""
    seconds = max(0.0, (until - since).total_seconds())
    age = now - since.timestamp()
    least = FINEST if age <= _IN_REDIS else MINUTE if age <= _MINUTES else HOUR
    return next((each for each in STEPS if each >= least and seconds / each <= points), STEPS[-1])


@dataclass(frozen=True)
class CountedPast:
    """Of some hours, what ended of each model, by minutes or finer, in no order. ``measured_at``: when anything of the tenant was measured last, whether or not
    anything ran; ``known_since``: of what was before nothing is known; both in Unix seconds, ``None`` where nothing was ever measured."""

    steps: dict[str, list[CountedStep]]
    measured_at: int | None
    known_since: int | None


def counted_past(tenant: uuid.UUID, models: Collection[str], hours: Collection[int], now: float) -> CountedPast:
    """Of the tenant's models by their full names, with what other tenants asked of them on its nodes. ``hours``: since 1970.

    Needs the tenant's scope. Queries: 2. Raises `Unavailable` when Redis is away.
    """
    of_tenant, present = tenant_series(tenant.hex), int(now) // HOUR
    named = {f(tenant.hex, model): model for model in models for f in (model_series, served_series)}
    steps: dict[str, list[CountedStep]] = {model: [] for model in models}
    kept: set[tuple[str, int]] = set()
    past = HistoryRow.objects.filter(step=MINUTE, start__in=[_moment(hour * HOUR) for hour in hours if hour < present])
    for row in past.filter(series__in=list(named)):
        kept.add((row.series, int(row.start.timestamp()) // HOUR))
        steps[named[row.series]] += _only_counted(unpack(bytes(row.packed)))
    recent = [
        (key, hour) for key in named for hour in hours if present - 24 <= hour <= present and (key, hour) not in kept
    ]
    beats = [(of_tenant, present - 1), (of_tenant, present)]
    try:
        wanted = [keys.history(hour, key) for key, hour in (*beats, *recent)]
        values = cast("list[bytes | None]", regions.own().client.mget(wanted))
    except RedisError as error:
        raise Unavailable("The last day cannot be read right now.", retry_after=1) from error
    for (key, _), value in zip(recent, values[2:], strict=True):
        steps[named[key]] += _only_counted(unpack(value or b""))
    beaten = [each.at for value in values[:2] for each in unpack(value or b"") if isinstance(each, Gauges)]
    first = (
        HistoryRow.objects.filter(series=of_tenant, step=MINUTE).order_by("start").values_list("start", flat=True)[:1]
    )
    since = min([*beaten, *(int(each.timestamp()) for each in first)], default=None)
    return CountedPast(steps, max(beaten, default=None), since)


def _only_counted(entries: Sequence[Entry]) -> list[CountedStep]:
    return [each for each in entries if isinstance(each, CountedStep)]


def _series(acting: Principal, name: str, at: list[int], step: int, now: float) -> Series:
    kind, _, rest = name.partition(":")
    tenant = uuid.UUID(acting.tenant or "").hex
    read: Callable[[Series, Sequence[Entry], int], None]
    if kind == "node":
        key, read = node_series(get_node(acting, _id(rest)).id.hex), _node
    elif kind == "gpu":
        node, _, index = rest.partition("/")
        if not index.isdigit() or len(index) > 3:
            raise InvalidRequest("A card is named as gpu:<node id>/<index>.", param="series")
        key, read = node_series(get_node(acting, _id(node)).id.hex), _card(int(index))
    elif kind == "model" and rest:
        if not acting.may("model.view"):
            raise Forbidden("This needs the permission 'model.view'.", permission="model.view")
        key, read = model_series(tenant, rest), _model
    elif name == "tenant":
        if not acting.may("node.view"):
            raise Forbidden("This needs the permission 'node.view'.", permission="node.view")
        key, read = tenant_series(tenant), _tenant
    else:
        raise InvalidRequest("A series is tenant, node:<id>, gpu:<node id>/<index> or model:<name>.", param="series")
    found = Series(name, at)
    read(found, _entries(key, at, step, now) if at else [], step)
    return found


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidRequest("A node is named by its id.", param="series") from None


def _entries(key: str, at: list[int], step: int, now: float) -> list[Entry]:
    """Of the time that is asked for, folded. Queries: 1, of what is older than an hour."""
    begin, end = at[0], at[-1] + step
    hours = range(begin // HOUR, (end - 1) // HOUR + 1)
    entries: list[Entry] = []
    kept: set[int] = set()
    present = int(now) // HOUR
    if step >= MINUTE and hours[0] < present:
        base = HOUR if step >= HOUR else MINUTE
        length = DAY if base == HOUR else HOUR
        rows = HistoryRow.objects.filter(
            series=key,
            step=base,
            start__gte=_moment(begin // length * length),
            start__lt=_moment(end),
        )
        for row in rows:
            found = unpack(bytes(row.packed))
            entries += found
            kept |= {each.at // HOUR for each in found}
    oldest = int(now - _IN_REDIS) // HOUR
    recent = [hour for hour in hours if oldest <= hour <= present and hour not in kept]
    if recent:
        try:
            values = cast("list[bytes | None]", regions.own().client.mget([keys.history(hour, key) for hour in recent]))
        except RedisError as error:
            raise Unavailable("The last day cannot be read right now.", retry_after=1) from error
        for value in values:
            entries += unpack(value or b"")
    return fold([each for each in entries if begin <= each.at < end], step)


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _node(found: Series, entries: Sequence[Entry], step: int) -> None:
    _gauges(found, entries, NODE_GAUGES, lambda entry: entry.values)
    _counts(found, entries, step, speed=False)


def _tenant(found: Series, entries: Sequence[Entry], step: int) -> None:
    _gauges(found, entries, TENANT_GAUGES, lambda entry: entry.values)
    _counts(found, entries, step, speed=False)


def _model(found: Series, entries: Sequence[Entry], step: int) -> None:
    _counts(found, entries, step, speed=True)


def _card(index: int) -> Callable[[Series, Sequence[Entry], int], None]:
    def read(found: Series, entries: Sequence[Entry], step: int) -> None:
        _gauges(found, entries, GPU_GAUGES, lambda entry: entry.gpus[index] if index < len(entry.gpus) else [])

    return read


def _gauges(
    found: Series,
    entries: Sequence[Entry],
    names: Sequence[str],
    pick: Callable[[Gauges], Sequence[int | None]],
) -> None:
    places = {at: place for place, at in enumerate(found.at)}
    columns: list[Column] = [[None] * len(found.at) for _ in names]
    for entry in entries:
        place = places.get(entry.at)
        if isinstance(entry, Gauges) and place is not None:
            for column, value in zip(columns, pick(entry), strict=False):
                column[place] = None if value is None else value / SCALE
    found.values |= dict(zip(names, columns, strict=True))


def _counts(found: Series, entries: Sequence[Entry], step: int, *, speed: bool) -> None:
    """Where nothing ended, that is a count of 0, and no time to first token."""
    places = {at: place for place, at in enumerate(found.at)}
    counts: dict[str, Column] = {name: [0.0] * len(found.at) for name in _COUNTS}
    times: dict[str, Column] = {name: [None] * len(found.at) for name in _FIRST_TOKEN}
    for entry in entries:
        place = places.get(entry.at)
        if not isinstance(entry, CountedStep) or place is None:
            continue
        failed = sum(entry.errors.values())
        sums = (entry.ok + entry.cancelled + failed, failed, entry.cancelled, entry.refused)
        for name, value in zip(_COUNTS, (*sums, entry.prompt_tokens, entry.completion_tokens), strict=True):
            counts[name][place] = float(value)
        for name, share in _FIRST_TOKEN.items():
            value_ms = percentile(entry.first_tokens, share)
            times[name][place] = None if value_ms is None else round(value_ms, 1)
        for code, count in entry.errors.items():
            found.errors.setdefault(code, [0.0] * len(found.at))[place] = float(count)
    found.values |= counts | times
    if speed:
        found.values["tokens_per_second"] = [(each or 0.0) / step for each in counts["completion_tokens"]]
