"""What a request costs: the time that it had slots of nodes, at the prices of when it was given them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ollamamax.contract import AttemptRecord
from ollamamax.contract.tables import Registered

_HOUR = 3600.0


def slot_price(node: Registered | None, slots: int) -> float | None:
    """What one slot costs an hour, when the node's cost is divided among all; ``None`` where it is not known."""
    if node is None or node.hourly_cost is None or slots < 1:
        return None
    return node.hourly_cost / slots


def cost_of(attempts: Sequence[AttemptRecord], ended: float) -> tuple[float | None, str]:
    """The cost and its currency. An attempt lasts from when its node began until the next attempt, or the end (Unix seconds).

    ``None`` where no node had it, where one that began has no price, and where prices are in several currencies.
    """
    total = 0.0
    currencies = set()
    for index, attempt in enumerate(attempts):
        last = attempts[index + 1].given_at if index + 1 < len(attempts) else ended
        if attempt.started_at is not None:
            if attempt.price is None:
                return None, ""
            total += attempt.price * max(0.0, last - attempt.started_at) / _HOUR
        if attempt.price is not None:
            currencies.add(attempt.currency)
    if len(currencies) != 1:
        return None, ""
    return round(total, 9), currencies.pop()
