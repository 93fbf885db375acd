"""Reads usage: records one by one, and what they sum up to: by the sums of whole days, of the hours that are left, and records."""

from __future__ import annotations

import datetime
import functools
import operator
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from django.conf import settings
from django.db.models import Aggregate, Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek
from django.utils import timezone

from ollamamax.identity.queries.key import names_of_keys
from ollamamax.identity.queries.member import names_of_users
from ollamamax.identity.queries.team import names_of_teams
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.metering.models import Budget, ModelPrice, RequestRoute, UsageRecord, UsageSum

SUBJECTS = ("model", "user", "key", "node")
"""What sums can be of; any of them also filters."""
PERIODS = ("month", "week", "day", "hour")
MOST_GROUPS = 20_000
_EXACT = Context(prec=60)
"""For sums of columns that have 38 digits; what is usual are 28."""
_LENGTH = {"day": datetime.timedelta(days=1), "hour": datetime.timedelta(hours=1)}
_Span = tuple[datetime.datetime | None, datetime.datetime | None]
_TRUNCATED = {"month": TruncMonth, "week": TruncWeek, "day": TruncDay, "hour": TruncHour}
_OF_SUMS = {
    f"of_{name}": Sum(name)
    for name in (
        *("requests", "refused", "failed", "prompt_tokens", "completion_tokens", "cached_tokens", "priced", "cost"),
        *("charged", "charge"),
    )
}
_OF_RECORDS = {
    "of_requests": Count("node", filter=~Q(outcome="refused")),
    "of_refused": Count("request", filter=Q(outcome="refused")),
    "of_failed": Count("node", filter=Q(outcome__in=("failed", "gateway_lost", "node_lost"))),
    "of_prompt_tokens": Sum("prompt_tokens"),
    "of_completion_tokens": Sum("completion_tokens"),
    "of_cached_tokens": Sum("cached_tokens"),
    "of_priced": Count("cost"),
    "of_cost": Sum("cost"),
    "of_charged": Count("charge"),
    "of_charge": Sum("charge"),
}
"""As `metering.actions.usage` adds records to the sums of their hours and days."""


@dataclass
class Sums:
    """``group`` names what they are of. ``failed`` requests are among the ``requests``, ``refused`` ones are not; ``costs`` (by the hourly
    costs of nodes) and ``charges`` (by the price list) are by currency: the amount, and of how many records."""

    group: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    refused: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    costs: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    charges: dict[str, tuple[Decimal, int]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of sums, in one currency; of records, charges may be in another."""
        self.requests += row["of_requests"]
        self.refused += row["of_refused"]
        self.failed += row["of_failed"]
        self.prompt_tokens += int(row["of_prompt_tokens"])
        self.completion_tokens += int(row["of_completion_tokens"])
        # Of records none may say.
        self.cached_tokens += int(row["of_cached_tokens"] or 0)
        if row["of_priced"]:
            amount, priced = self.costs.get(row["currency"], (Decimal(0), 0))
            self.costs[row["currency"]] = _EXACT.add(amount, row["of_cost"]), priced + row["of_priced"]
        if row["of_charged"]:
            currency = row.get("charge_currency", row["currency"])
            amount, charged = self.charges.get(currency, (Decimal(0), 0))
            self.charges[currency] = _EXACT.add(amount, row["of_charge"]), charged + row["of_charged"]


def usage(
    *, since: datetime.datetime | None = None, until: datetime.datetime | None = None, **only: Any
) -> QuerySet[UsageRecord]:
    """Records of the tenant in scope, received from ``since`` on and before ``until``; ``only`` those of `SUBJECTS`."""
    return UsageRecord.objects.filter(_between("received_at", since, until), **only)


def usage_after(rows: QuerySet[UsageRecord], last: Mapping[str, Any] | None) -> QuerySet[UsageRecord]:
    """Of these records, the oldest first, those that come after one; ``None``: from the first on."""
    found = rows.order_by("received_at", "request")
    if last is None:
        return found
    return found.filter(
        Q(received_at__gt=last["received_at"]) | Q(received_at=last["received_at"], request__gt=last["request"])
    ).filter(received_at__gte=last["received_at"])


def find_record(request: uuid.UUID) -> UsageRecord | None:
    """The record of one request of the tenant in scope. Queries: 1."""
    return UsageRecord.objects.filter(request=request).first()


def find_route(request: uuid.UUID) -> Any:
    """Why one request of the tenant in scope ran where it ran, while that is kept. Queries: 1."""
    return RequestRoute.objects.filter(request=request).values_list("route", flat=True).first()


def totals(*, since: datetime.datetime | None = None, until: datetime.datetime | None = None, **only: Any) -> Sums:
    """Sums over the records that `usage` finds; see `groups`. Queries: 1 or 2."""
    found = groups(by=(), since=since, until=until, **only)
    return found[0] if found else Sums()


def groups(
    *, by: Sequence[str], since: datetime.datetime | None = None, until: datetime.datetime | None = None, **only: Any
) -> list[Sums]:
    """Sums over the records that `usage` finds, apart for each value of ``by``: of `PERIODS` (weeks begin on Mondays), `SUBJECTS` and ``tenant_id``.

    By time, then the most requests first. What is about a model and one other subject is summed up by whole days and, where those
    end, from records; what is about more, or about two others, or about both a model and hours, from records alone. A moment from
    which no records are kept any more counts as the hour that it is in, or the day where hours are not summed up. Raises `InvalidRequest` where there are more than
    `MOST_GROUPS`. Queries: 1 to 3.
    """
    found: dict[tuple[Any, ...], Sums] = {}
    kind, columns, lengths = _summed(by, only)
    spans: list[_Span] = [(_kept(since, lengths), _kept(until, lengths))]
    if kind:
        rows = UsageSum.objects.filter(by=kind, **{columns[name]: str(value) for name, value in only.items()})
        for period in lengths:
            whole, spans = _split(spans, period)
            if whole:
                _add(found, by, columns, rows.filter(_within("start", whole), period=period), "start", _OF_SUMS)
    if spans:
        records = UsageRecord.objects.filter(_within("received_at", spans), shadow_of=None, **only)
        _add(found, by, {}, records, "received_at", _OF_RECORDS)
    periods = [name for name in by if name in PERIODS]
    return sorted(found.values(), key=lambda each: ([each.group[name] for name in periods], -each.requests))


def compared(
    *, by: Sequence[str], since: datetime.datetime, until: datetime.datetime, **only: Any
) -> list[tuple[Sums, Sums]]:
    """As `groups`, each beside what it was in the time before, which is as long and ends where this one begins.

    A group that is in one of the two alone is zero in the other. Raises `InvalidRequest`, also for groups by time. Queries: twice
    those of `groups`.
    """
    if any(name in PERIODS for name in by):
        raise InvalidRequest("Times are compared of groups by something else than time.", param="compare")
    if since >= until:
        raise InvalidRequest("'since' is before 'until'.", param="since")
    before = {
        tuple(each.group.values()): each for each in groups(by=by, since=since - (until - since), until=since, **only)
    }
    now = groups(by=by, since=since, until=until, **only)
    both = [(each, before.pop(tuple(each.group.values()), Sums(each.group))) for each in now]
    return both + [(Sums(each.group), each) for each in before.values()]


def of_tenants(*, since: datetime.datetime | None = None, until: datetime.datetime | None = None) -> list[Sums]:
    """The sums of every tenant, for who runs the installation. Queries as `groups`."""
    with every_tenant():
        return groups(by=("tenant_id",), since=since, until=until)


def _summed(by: Sequence[str], only: Iterable[str]) -> tuple[str, dict[str, str], Sequence[str]]:
    """Of which kind the sums are that tell it, in which of their columns subjects are, and of which lengths there are such; nothing where
    records alone tell it."""
    subjects = {name for name in (*by, *only) if name in SUBJECTS}
    hourly = "hour" in by
    if len(subjects) < 2:
        kind = "".join(subjects)
        return kind or "all", {kind: "subject"}, ("hour",) if hourly else ("day", "hour")
    if len(subjects) == 2 and "model" in subjects and not hourly:
        (other,) = subjects - {"model"}
        return f"{other}+model", {other: "subject", "model": "model"}, ("day",)
    return "", {}, ()


def _add(
    found: dict[tuple[Any, ...], Sums],
    by: Sequence[str],
    subjects: Mapping[str, str],
    rows: QuerySet[Any],
    moment: str,
    sums: Mapping[str, Aggregate],
) -> None:
    """Add the sums of the rows to those of their groups. ``subjects``: in which column each is, where that has another name."""
    periods = {f"of_{name}": _TRUNCATED[name](moment, tzinfo=datetime.UTC) for name in by if name in PERIODS}
    told = {name: f"of_{name}" for name in by if name in PERIODS} | dict(subjects)
    columns = {name: told.get(name, name) for name in by}
    currencies = ("currency",) if rows.model is UsageSum else ("currency", "charge_currency")
    summed = rows.order_by().annotate(**periods).values(*columns.values(), *currencies).annotate(**sums)
    for row in summed[: MOST_GROUPS + 1]:
        group = {name: _value(name, row[column]) for name, column in columns.items()}
        found.setdefault(tuple(group.values()), Sums(group)).add(row)
    if len(found) > MOST_GROUPS:
        raise InvalidRequest(f"That has more than {MOST_GROUPS} groups: ask for a shorter time, or for fewer.")


def _value(name: str, value: Any) -> Any:
    """Sums tell ids as text."""
    if name in {"key", "node"} and isinstance(value, str):
        return uuid.UUID(value) if value else None
    return value


def _split(spans: Sequence[_Span], period: str) -> tuple[list[_Span], list[_Span]]:
    """The whole days or hours in spans of time, and what is left of the spans."""
    whole: list[_Span] = []
    left: list[_Span] = []
    for since, until in spans:
        first = None if since is None else _next(since, period)
        last = None if until is None else _begin(until, period)
        if first is not None and last is not None and first >= last:
            left.append((since, until))
        else:
            whole.append((first, last))
            left += [(begin, end) for begin, end in ((since, first), (last, until)) if begin != end]
    return whole, left


def _within(column: str, spans: Sequence[_Span]) -> Q:
    return functools.reduce(operator.or_, (_between(column, *span) for span in spans))


def _between(column: str, since: datetime.datetime | None, until: datetime.datetime | None) -> Q:
    return Q(
        **({} if since is None else {f"{column}__gte": since}), **({} if until is None else {f"{column}__lt": until})
    )


def _kept(moment: datetime.datetime | None, lengths: Sequence[str]) -> datetime.datetime | None:
    """The moment, or, where records of it are kept no more, the beginning of the least length of which there are sums."""
    oldest = timezone.now() - datetime.timedelta(days=settings.ENV["OLLAMAMAX_USAGE_DAYS"])
    return moment if moment is None or moment >= oldest else _begin(moment, "day" if lengths == ("day",) else "hour")


def _begin(moment: datetime.datetime, period: str) -> datetime.datetime:
    """Of the day or hour that it is in."""
    hour = moment.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    return hour if period == "hour" else hour.replace(hour=0)


def _next(moment: datetime.datetime, period: str) -> datetime.datetime:
    """The moment itself where a day or an hour begins at it."""
    begin = _begin(moment, period)
    return moment if moment == begin else begin + _LENGTH[period]


def seconds_by_version(
    tenant: uuid.UUID, nodes: Sequence[uuid.UUID], versions: Collection[str], since: datetime.datetime
) -> dict[str, float]:
    """How long requests for each version took together that came since then: the tenant's, and what others asked of these nodes, its own. Queries: 1."""
    oldest = uuid.UUID(int=int(since.timestamp() * 1000) << 80)
    with every_tenant():
        ended = UsageRecord.objects.filter(
            Q(tenant_id=tenant) | Q(node__in=nodes), request__gte=oldest, received_at__gte=since, version__in=versions
        )
        sums = ended.order_by().values_list("version").annotate(Sum("duration_ms"))
        return {version: total / 1000 for version, total in sums}


def budgets() -> QuerySet[Budget]:
    """Of the tenant in scope."""
    return Budget.objects.all()


def get_budget(budget_id: uuid.UUID) -> Budget:
    """Raises `NotFound`."""
    found = budgets().filter(pk=budget_id).first()
    if found is None:
        raise NotFound("There is no such budget.")
    return found


def names_of_subjects(some: Iterable[Budget]) -> dict[uuid.UUID, str]:
    """How the teams, users and keys are called that these budgets are of. Queries: up to 3."""
    wanted: dict[str, set[uuid.UUID]] = {}
    for each in some:
        if each.subject is not None:
            wanted.setdefault(each.whose, set()).add(each.subject)
    found = names_of_keys(wanted.get("key", ()))
    return found | names_of_teams(wanted.get("team", ())) | names_of_users(wanted.get("user", ()))


def price_since(price: uuid.UUID) -> datetime.datetime | None:
    """Since when a price of the tenant in scope counts, or did. Queries: 1."""
    return ModelPrice.objects.filter(pk=price).values_list("valid_from", flat=True).first()


def prices() -> QuerySet[ModelPrice]:
    """Of the tenant in scope, those that count no more, too."""
    return ModelPrice.objects.all()
