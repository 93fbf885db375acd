"""Looks at what budgets have spent in Redis, and puts right what Redis lost: the caller of `balance.lua`."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from cluster.dispatch.script import Script, arguments
from ollamamax.metering.actions.spending import Spent

_script = Script("balance")


def balance_budgets(client: redis.Redis, known: Sequence[tuple[str, str, float]]) -> list[Spent]:
    """``known``: of each budget its id, its period, and what it spent at least in its present window. Raises `RedisError`."""
    answers = _script.run_sync(client, arguments({"budgets": known}))
    return [Spent(float(used), float(reserved), float(seconds)) for used, reserved, seconds in answers]
