"""Budgets and prices as the control plane tells gateways of them: how much may be spent of what, by whom, in which time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from ollamamax.contract.model_names import PINNED

Unit = Literal["tokens", "prompt_tokens", "completion_tokens", "gpu_seconds", "money"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Period = Literal["day", "week", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)
Whose = Literal["tenant", "team", "user", "key"]
WHOSE: tuple[Whose, ...] = get_args(Whose)


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model costs, in the tenant's currency: for one token of the prompt, for one of the answer, and for one second of a slot.

    ``cached_token`` is for a token of the prompt that the engine had kept: never more than for any other, and ``None`` for as much.
    """

    prompt_token: float = 0.0
    completion_token: float = 0.0
    second: float = 0.0
    cached_token: float | None = None


FREE = Price()


def _amounts(price: Price) -> tuple[float, float, float, float]:
    kept = price.prompt_token if price.cached_token is None else price.cached_token
    return price.completion_token, price.prompt_token, price.second, kept


class KnownBudget(msgspec.Struct, frozen=True, omit_defaults=True):
    """``subject`` is the id (hex) of whose it is: a team, a user or a key; empty for the tenant's. ``most`` is in its unit, in a
    day, week (from Monday) or month of UTC. A ``hard`` one refuses what would go beyond; ``warn`` is the share of which is told."""

    id: str
    whose: Whose
    subject: str
    unit: Unit
    period: Period
    most: float
    hard: bool = True
    warn: float = 0.8


class KnownBudgets(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one tenant. ``prices`` are by the name of a model; under the empty name for all others."""

    budgets: tuple[KnownBudget, ...] = ()
    prices: dict[str, Price] = {}

    def that_count(self, *, key: str, user: str, teams: Iterable[str]) -> tuple[KnownBudget, ...]:
        """Those that a request of this key spends from."""
        subjects = {"", key, user, *teams}
        return tuple(each for each in self.budgets if each.subject in subjects)

    def price_of(self, model: str) -> Price:
        """Of a full name: its own price, else that of all. One version of a model, asked for by its digest, costs what the dearest of the model's
        names does where it has no price of its own: nobody pays less by another name. `metering.actions.usage` charges likewise."""
        own = self.prices.get(model)
        if own is None and PINNED in model:
            names = f"{model.partition(PINNED)[0]}:"
            own = max(
                (price for name, price in self.prices.items() if name.startswith(names)), key=_amounts, default=None
            )
        return own or self.prices.get("", FREE)


NO_BUDGETS = KnownBudgets()


def rates(unit: Unit, price: Price) -> tuple[float, float, float, float]:
    """What a token of the prompt, a token of the answer and a second of a slot take from a budget of this unit, and how much
    less a token of the prompt takes that the engine had kept: from 0 to what such a token takes."""
    match unit:
        case "tokens":
            return 1.0, 1.0, 0.0, 0.0
        case "prompt_tokens":
            return 1.0, 0.0, 0.0, 0.0
        case "completion_tokens":
            return 0.0, 1.0, 0.0, 0.0
        case "gpu_seconds":
            return 0.0, 0.0, 1.0, 0.0
    kept = price.prompt_token if price.cached_token is None else price.cached_token
    return price.prompt_token, price.completion_token, price.second, max(0.0, price.prompt_token - kept)
