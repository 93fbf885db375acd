"""Reads usage: records one by one, and what they sum up to. Sums come from those of whole hours; records are asked for the rest."""

from __future__ import annotations

import datetime
import functools
import operator
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Aggregate, Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.metering.models import NOBODY, RequestRoute, UsageHour, UsageRecord

SUBJECTS = ("model", "user", "key", "node")
"""What sums can be of; any of them also filters."""
PERIODS = ("day", "hour")
MOST_GROUPS = 20_000
_HOUR = datetime.timedelta(hours=1)
_TRUNCATED = {"day": TruncDay, "hour": TruncHour}
_OF_HOURS = {
    f"of_{name}": Sum(name)
    for name in ("requests", "refused", "failed", "prompt_tokens", "completion_tokens", "priced", "cost")
}
_OF_RECORDS = {
    "of_requests": Count("node", filter=~Q(outcome="refused")),
    "of_refused": Count("request", filter=Q(outcome="refused")),
    "of_failed": Count("node", filter=Q(outcome__in=("failed", "gateway_lost", "node_lost"))),
    "of_prompt_tokens": Sum("prompt_tokens"),
    "of_completion_tokens": Sum("completion_tokens"),
    "of_priced": Count("cost"),
    "of_cost": Sum("cost"),
}
"""As `metering.actions` adds records to the sums of their hour."""


@dataclass
class Sums:
    """``group`` names what they are of. ``failed`` requests are among the ``requests``, ``refused`` ones are not; ``costs`` is by
    currency: the amount, and how many records had a price."""

    group: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    refused: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    costs: dict[str, tuple[Decimal, int]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of sums, in one currency."""
        self.requests += row["of_requests"]
        self.refused += row["of_refused"]
        self.failed += row["of_failed"]
        self.prompt_tokens += int(row["of_prompt_tokens"])
        self.completion_tokens += int(row["of_completion_tokens"])
        if row["of_priced"]:
            amount, priced = self.costs.get(row["currency"], (Decimal(0), 0))
            self.costs[row["currency"]] = amount + row["of_cost"], priced + row["of_priced"]


def usage(
    *, since: datetime.datetime | None = None, until: datetime.datetime | None = None, **only: Any
) -> QuerySet[UsageRecord]:
    """Records of the tenant in scope, received from ``since`` on and before ``until``; ``only`` those of `SUBJECTS`."""
    return UsageRecord.objects.filter(_between("received_at", since, until), **only)


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
    """Sums over the records that `usage` finds, apart for each value of ``by``: of `PERIODS`, `SUBJECTS` and ``tenant_id``.

    By time, then the most requests first. A moment from which no records are kept any more counts as the hour that it is in.
    Raises `InvalidRequest` where there are more than `MOST_GROUPS`. Queries: 1, and 1 for parts of hours.
    """
    since, until = _kept(since), _kept(until)
    first, last = _next_hour(since), None if until is None else _hour(until)
    found: dict[tuple[Any, ...], Sums] = {}
    parts = []
    if first is None or last is None or first <= last:
        subjects = {name for name in (*by, *only) if name in SUBJECTS}
        # The fewest rows that can tell it.
        kind = "each" if len(subjects) > 1 else "".join(subjects) or "all"
        hours = UsageHour.objects.filter(_between("hour", first, last), by=kind, **only)
        _add(found, by, hours, "hour", _OF_HOURS)
        parts = [(since, first), (last, until)]
    else:
        parts = [(since, until)]
    asked = [_between("received_at", begin, end) for begin, end in parts if begin != end]
    if asked:
        records = UsageRecord.objects.filter(functools.reduce(operator.or_, asked), **only)
        _add(found, by, records, "received_at", _OF_RECORDS)
    periods = [name for name in by if name in PERIODS]
    return sorted(found.values(), key=lambda each: ([each.group[name] for name in periods], -each.requests))


def of_tenants(*, since: datetime.datetime | None = None, until: datetime.datetime | None = None) -> list[Sums]:
    """The sums of every tenant, for who runs the installation. Queries as `groups`."""
    with every_tenant():
        return groups(by=("tenant_id",), since=since, until=until)


def _add(
    found: dict[tuple[Any, ...], Sums],
    by: Sequence[str],
    rows: QuerySet[Any],
    moment: str,
    sums: Mapping[str, Aggregate],
) -> None:
    """Add the sums of the rows to those of their groups."""
    periods = {f"of_{name}": _TRUNCATED[name](moment, tzinfo=datetime.UTC) for name in by if name in PERIODS}
    names = {name: f"of_{name}" if name in PERIODS else name for name in by}
    summed = rows.order_by().annotate(**periods).values(*names.values(), "currency").annotate(**sums)
    for row in summed[: MOST_GROUPS + 1]:
        group = {name: None if row[column] == NOBODY else row[column] for name, column in names.items()}
        found.setdefault(tuple(group.values()), Sums(group)).add(row)
    if len(found) > MOST_GROUPS:
        raise InvalidRequest(f"That has more than {MOST_GROUPS} groups: ask for a shorter time, or for fewer.")


def _between(column: str, since: datetime.datetime | None, until: datetime.datetime | None) -> Q:
    return Q(
        **({} if since is None else {f"{column}__gte": since}), **({} if until is None else {f"{column}__lt": until})
    )


def _kept(moment: datetime.datetime | None) -> datetime.datetime | None:
    oldest = timezone.now() - datetime.timedelta(days=settings.ENV["OLLAMAMAX_USAGE_DAYS"])
    return moment if moment is None or moment >= oldest else _hour(moment)


def _hour(moment: datetime.datetime) -> datetime.datetime:
    return moment.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)


def _next_hour(moment: datetime.datetime | None) -> datetime.datetime | None:
    """The moment itself where an hour begins at it."""
    if moment is None or moment == _hour(moment):
        return moment
    return _hour(moment) + _HOUR
