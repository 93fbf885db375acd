"""Writes of budgets and prices, and what gateways are told of them: the directory's table ``budgets``."""

from __future__ import annotations

import decimal
import uuid
from typing import Any, cast

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.bus import publication
from ollamamax.bus.publication import Fields
from ollamamax.contract.budgets import PERIODS, UNITS, WHOSE, KnownBudget, KnownBudgets, Period, Price, Unit, Whose
from ollamamax.contract.model_names import with_tag
from ollamamax.contract.tables import BUDGETS
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.bounds import BUDGETS as BOUND
from ollamamax.identity.bounds import PRICES, require_room
from ollamamax.identity.queries.key import require_subject
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.metering.models import Budget, ModelPrice

MILLION = 1_000_000
MOST_NAME = 400
"""Characters."""


def known_budgets(fields: Fields = None) -> dict[str, KnownBudgets]:
    """By tenant (hex), of those that have any budget. Queries: 2."""
    with every_tenant():
        budgets, prices = Budget.objects.order_by("id"), ModelPrice.objects.all()
        if fields is not None:
            wanted = [uuid.UUID(each) for each in fields]
            budgets, prices = budgets.filter(tenant__in=wanted), prices.filter(tenant__in=wanted)
        found: dict[str, list[KnownBudget]] = {}
        for each in budgets:
            found.setdefault(each.tenant_id.hex, []).append(_known(each))
        costs: dict[str, dict[str, Price]] = {}
        # Of each model the newest: of those before there may be many.
        newest = prices.order_by("tenant", "model", "-valid_from", "-id").distinct("tenant", "model")
        for price in newest if found else []:
            costs.setdefault(price.tenant_id.hex, {})[price.model] = Price(
                float(price.prompt_million) / MILLION,
                float(price.completion_million) / MILLION,
                float(price.second),
                None if price.cached_million is None else float(price.cached_million) / MILLION,
            )
    return {tenant: KnownBudgets(tuple(some), costs.get(tenant, {})) for tenant, some in found.items()}


def _known(budget: Budget) -> KnownBudget:
    return KnownBudget(
        id=budget.id.hex,
        whose=cast("Whose", budget.whose),
        subject="" if budget.subject is None else budget.subject.hex,
        unit=cast("Unit", budget.unit),
        period=cast("Period", budget.period),
        most=float(budget.most),
        hard=budget.hard,
        warn=budget.warn_percent / 100,
    )


publication.answers(BUDGETS, known_budgets)


def create_budget(
    *,
    acting: Principal,
    whose: str,
    unit: str,
    period: str,
    most: decimal.Decimal,
    subject: uuid.UUID | None = None,
    hard: bool = True,
    warn_percent: int = 80,
) -> Budget:
    """A budget of the tenant of ``acting``, or of one of its teams, users or keys. What was used before in its window counts
    as soon as it is looked at. Raises `Forbidden`, `InvalidRequest`, `NotFound` for a subject that is not there, and `Conflict`."""
    tenant = require_in_tenant(acting, "budget.manage")
    if whose not in WHOSE or unit not in UNITS or period not in PERIODS:
        raise InvalidRequest("This is no kind of budget.", param="unit")
    if (whose == "tenant") != (subject is None):
        raise InvalidRequest("A budget is the tenant's, or one team's, user's or key's.", param="subject")
    taken = "There is a budget of this unit and period already."
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            if subject is not None:
                require_subject(whose, subject)
            require_room(BOUND, Budget.objects.all())
            made = Budget.objects.create(
                tenant_id=tenant,
                whose=whose,
                subject=subject,
                unit=unit,
                period=period,
                most=most,
                hard=hard,
                warn_percent=warn_percent,
                created_by_name=acting.name,
            )
            about = _about(made, most=str(most), hard=hard, warn_percent=warn_percent)
            record(acting=acting, action="budget.create", **about)
    except IntegrityError as error:
        raise Conflict(taken) from error
    return made


def change_budget(*, acting: Principal, budget_id: uuid.UUID, **values: Any) -> Budget:
    """Its ``most``, ``hard`` or ``warn_percent``. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "budget.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        budget = _locked(budget_id)
        changed = take_over(budget, values)
        if changed:
            budget.save(update_fields=[*changed, "changed_at"])
            detail = {name: str(value) for name, value in changed.items()}
            before = {name: str(value) for name, value in changed.before.items()}
            record(acting=acting, action="budget.change", **_about(budget, **detail, before=before))
    return budget


def delete_budget(*, acting: Principal, budget_id: uuid.UUID) -> None:
    """What is under way goes on. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "budget.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        budget = _locked(budget_id)
        record(acting=acting, action="budget.delete", **_about(budget))
        budget.delete()


def set_price(
    *,
    acting: Principal,
    model: str,
    prompt_million: decimal.Decimal,
    completion_million: decimal.Decimal,
    second: decimal.Decimal,
    currency: str,
    cached_million: decimal.Decimal | None = None,
) -> ModelPrice:
    """From now on; ``model`` is empty for all that have no price of their own, and ends in ``:latest`` where it has no tag; ``cached_million`` is ``None`` for as much as all
    tokens of prompts. Raises `Forbidden`, `InvalidRequest` for cached tokens that cost more than others, and `Conflict` for another
    currency than the tenant's other prices have, and for one price too many."""
    tenant = require_in_tenant(acting, "budget.manage")
    if cached_million is not None and cached_million > prompt_million:
        raise InvalidRequest("Cached tokens of prompts cost at most what the others cost.", param="cached_million")
    # Usage is charged by full names.
    model = with_tag(model) if model else ""
    if len(model) > MOST_NAME:
        raise InvalidRequest(f"A model's full name has at most {MOST_NAME} characters.", param="model")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        # One at a time, or two first prices at once would be in two currencies.
        require_room(PRICES, ModelPrice.objects.all())
        if ModelPrice.objects.exclude(currency=currency).exists():
            raise Conflict("The prices of a tenant are in one currency.")
        made = ModelPrice.objects.create(
            tenant_id=tenant,
            model=model,
            prompt_million=prompt_million,
            completion_million=completion_million,
            second=second,
            cached_million=cached_million,
            currency=currency,
            created_by_name=acting.name,
        )
        record(
            acting=acting,
            action="price.set",
            target_type="price",
            target_id=made.id,
            tenant=tenant,
            detail={
                "model": model,
                "prompt_million": str(prompt_million),
                "completion_million": str(completion_million),
                "second": str(second),
                "cached_million": None if cached_million is None else str(cached_million),
                "currency": currency,
            },
        )
        publication.publish_on_commit(BUDGETS, [tenant.hex])
    return made


def _locked(budget_id: uuid.UUID) -> Budget:
    found = Budget.objects.select_for_update(of=("self",)).filter(pk=budget_id).first()
    if found is None:
        raise NotFound("There is no such budget.")
    return found


def _about(budget: Budget, **detail: Any) -> dict[str, Any]:
    """What the audit trail says of it; gateways are told after the commit."""
    publication.publish_on_commit(BUDGETS, [budget.tenant_id.hex])
    named = {
        "whose": budget.whose,
        "subject": None if budget.subject is None else str(budget.subject),
        "unit": budget.unit,
        "period": budget.period,
    }
    return {
        "target_type": "budget",
        "target_id": budget.id,
        "tenant": budget.tenant_id,
        "detail": {**named, **detail},
    }
