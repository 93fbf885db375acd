"""What budgets have spent: told to Redis by Postgres where Redis lost it, and to people where it is much."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.bus.regions import Region
from ollamamax.identity.queries.key import ids_of_keys
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.principal import system
from ollamamax.metering.models import Budget, UsageSum

BATCH = 200
ACTIONS = {"warned": "budget.warn", "spent": "budget.spend", "refused": "budget.refuse"}
_TOKENS = {
    "tokens": ("prompt_tokens", "completion_tokens"),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
}


@dataclass(frozen=True)
class Spent:
    """In the present window: used, and reserved by what is under way; seconds until the next window."""

    used: float
    reserved: float
    seconds: float


Balance = Callable[[redis.Redis, Sequence[tuple[str, str, float]]], list[Spent]]
_balance: list[Balance] = []


def balances(balance: Balance) -> None:
    """Who keeps the spending in Redis says here how it is looked at, and put right. When the programs start."""
    _balance[:] = [balance]


def balance(region: Region | None = None) -> int:
    """Tell Redis what of its spending it lost. Returns how many budgets there are. Raises `RedisError`.

    Queries: 1, and 1 or 2 for each budget of tokens. What others are of is not in Postgres, and stands as Redis has it.
    """
    with every_tenant():
        budgets = list(Budget.objects.order_by("id"))
        known = [(each.id.hex, each.period, _used(each)) for each in budgets]
    if known:
        _balance[0]((region or regions.own()).client, known)
    return len(known)


def spent(budgets: Sequence[Budget]) -> dict[uuid.UUID, Spent]:
    """Of each of these budgets, by its id, what Redis says now; nothing of any where it cannot be asked."""
    known = [(each.id.hex, each.period, 0.0) for each in budgets]
    try:
        found = _balance[0](regions.own().client, known) if known else []
    except redis.RedisError:
        return {}
    return dict(zip([each.id for each in budgets], found, strict=True))


def begin_of(period: str, now: datetime.datetime) -> datetime.datetime:
    """Of the window in which ``now`` is, in UTC."""
    day = now.astimezone(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def _used(budget: Budget) -> float:
    if budget.unit not in _TOKENS:
        return 0.0
    sums = UsageSum.objects.filter(
        tenant=budget.tenant_id, period="day", start__gte=begin_of(budget.period, timezone.now()), model=""
    )
    if budget.whose == "tenant":
        sums = sums.filter(by="all")
    else:
        subject = cast("uuid.UUID", budget.subject)
        sums = sums.filter(by="key", subject__in=[str(each) for each in ids_of_keys(budget.whose, subject)])
    totals = sums.aggregate(prompt_tokens=Sum("prompt_tokens"), completion_tokens=Sum("completion_tokens"))
    return float(sum(totals[name] or 0 for name in _TOKENS[budget.unit]))


def tell(region: Region | None = None, *, check: Callable[[], None] = lambda: None) -> int:
    """Write into the audit trail, of which webhooks are told, what was noted of budgets that are nearly or wholly spent. Returns how many.

    Each is noted once in a window; killed in between, it is told again. Raises `RedisError`.
    """
    client = (region or regions.own()).client
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(keys.BUDGETS_TOLD, count=BATCH))
    for name, fields in entries:
        check()
        _tell({key.decode(): value.decode() for key, value in fields.items()})
        client.xdel(keys.BUDGETS_TOLD, name)
    return len(entries)


def _tell(said: dict[str, Any]) -> None:
    with every_tenant():
        budget = Budget.objects.filter(Q(pk=uuid.UUID(said["budget"]))).first()
    if budget is None:
        return
    with tenant_scope(budget.tenant_id), transaction.atomic(durable=True):
        record(
            acting=system("metering.tell_budgets", budget.tenant_id.hex),
            action=ACTIONS[said["what"]],
            target_type="budget",
            target_id=budget.id,
            tenant=budget.tenant_id,
            detail={
                "whose": budget.whose,
                "subject": None if budget.subject is None else str(budget.subject),
                "unit": budget.unit,
                "period": budget.period,
                "most": float(budget.most),
                "spent": float(said["spent"]),
            },
        )
