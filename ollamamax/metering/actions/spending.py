"""What budgets have spent: told to Redis by Postgres where Redis lost it, and to people where it is much."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.bus.regions import Region
from ollamamax.identity.queries.key import ids_of_keys
from ollamamax.identity.queries.member import people_who_may
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.principal import system
from ollamamax.mail.actions import is_set_up, queue_mail
from ollamamax.mail.letters import Kind
from ollamamax.metering.models import Budget, UsageSum
from ollamamax.metering.queries import names_of_subjects

BATCH = 200
ACTIONS = {"warned": "budget.warn", "spent": "budget.spend", "refused": "budget.refuse"}
LETTERS: dict[str, Kind] = {"warned": "budget_warned", "spent": "budget_spent"}
"""What is told by mail, too."""
MOST_LETTERS = 20
WHOSE_WORDS = {"tenant": "the organisation", "team": "the team", "user": "the user", "key": "the key"}
UNIT_WORDS = {
    "tokens": "tokens",
    "prompt_tokens": "tokens of prompts",
    "completion_tokens": "tokens of answers",
    "gpu_seconds": "seconds of GPUs",
    "money": "in the currency of the prices",
}
_SUMMED = {
    "tokens": ("prompt_tokens", "completion_tokens"),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "money": ("charge",),
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

    Queries: 1, and 1 or 2 for each budget of tokens and money. Seconds are not in Postgres, and stand as Redis has them.
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
    if budget.unit not in _SUMMED:
        return 0.0
    sums = UsageSum.objects.filter(
        tenant=budget.tenant_id, period="day", start__gte=begin_of(budget.period, timezone.now()), model=""
    )
    if budget.whose == "tenant":
        sums = sums.filter(by="all")
    else:
        subject = cast("uuid.UUID", budget.subject)
        sums = sums.filter(by="key", subject__in=[str(each) for each in ids_of_keys(budget.whose, subject)])
    totals = sums.aggregate(
        prompt_tokens=Sum("prompt_tokens"), completion_tokens=Sum("completion_tokens"), charge=Sum("charge")
    )
    return float(sum(totals[name] or 0 for name in _SUMMED[budget.unit]))


def tell(region: Region | None = None, *, check: Callable[[], None] = lambda: None) -> int:
    """Write into the audit trail, of which webhooks are told, what was noted of budgets that are nearly or wholly spent. Returns how many.

    Each is told once in a window, in the transaction that notes so, and by mail, too, where there is mail. Raises `RedisError`.
    """
    client = (region or regions.own()).client
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(keys.BUDGETS_TOLD, count=BATCH))
    for name, fields in entries:
        check()
        _tell({key.decode(): value.decode() for key, value in fields.items()})
        client.xdel(keys.BUDGETS_TOLD, name)
    return len(entries)


def _tell(said: dict[str, Any]) -> None:
    """Of each window each thing is told once, by whichever region noted it first, however often it is read."""
    what, window = str(said["what"]), int(said["window"])
    with every_tenant():
        budget = Budget.objects.filter(Q(pk=uuid.UUID(said["budget"]))).first()
    if budget is None:
        return
    with tenant_scope(budget.tenant_id), transaction.atomic(durable=True):
        held = Budget.objects.select_for_update(of=("self",)).select_related("tenant").filter(pk=budget.pk).first()
        if held is None or int(held.told.get(what, -1)) >= window:
            return
        held.told[what] = window
        held.save(update_fields=["told"])
        record(
            acting=system("metering.tell_budgets", held.tenant_id.hex),
            action=ACTIONS[what],
            target_type="budget",
            target_id=held.id,
            tenant=held.tenant_id,
            detail={
                "whose": held.whose,
                "subject": None if held.subject is None else str(held.subject),
                "unit": held.unit,
                "period": held.period,
                "most": float(held.most),
                "spent": float(said["spent"]),
            },
        )
        if what in LETTERS and is_set_up():
            _mail(held, LETTERS[what], float(said["spent"]), window)


def _mail(budget: Budget, kind: Kind, spent: float, window: int) -> None:
    """To those who may change budgets, at most `MOST_LETTERS` of them. In the transaction that notes that it was told."""
    name = "" if budget.subject is None else names_of_subjects([budget]).get(budget.subject, str(budget.subject))
    begin = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=window)
    values = {
        "tenant": budget.tenant.name,
        "percent": str(budget.warn_percent),
        "budget": f"{WHOSE_WORDS[budget.whose]} {name}".strip(),
        "most": f"{float(budget.most):,g}",
        "unit": UNIT_WORDS[budget.unit],
        "period": budget.period,
        "begin": f"{begin:%Y-%m-%d}",
        "spent": f"{spent:,g}",
    }
    for person in people_who_may("budget.manage", MOST_LETTERS):
        link = f"{settings.PUBLIC_URL}/budgets"
        queue_mail(to=person.email, kind=kind, language="en", values=values, link=link)
