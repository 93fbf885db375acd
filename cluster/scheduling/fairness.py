"""Fairness, as a pure decision: how much a request counts for, and in which order those who wait are served.

`shared.lua` of `cluster.dispatch` serves by the same rule, node by node; `order` says it for one node that serves all, which is what
a place in the queue means to a person.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Priority = Literal["high", "normal", "low"]

HEAD_START: dict[Priority, float] = {"high": 0.1, "normal": 0.0, "low": -0.4}
"""By how much a class stands before others of its own tenant, as a share of the time that a request is allowed. Time evens that out
before it is over, so that nothing starves: not even `low` beside `high` without end, which has waited half of its time then."""
PROMPT_TOKENS_FOR_ONE = 10
"""So many prompt tokens are as much work as one generated token: a prompt is read in parallel."""

KEPT_SHARE = 0.05
"""Share of the time that a request took for which its slot may be kept for its tenant's next one: what that may cost at most."""
LONGEST_KEPT = 0.1
"""The longest such time, in seconds."""


def work(prompt_tokens: float, completion_tokens: float) -> float:
    """The work of a request, in generated tokens; at least one."""
    return max(1.0, completion_tokens + prompt_tokens / PROMPT_TOKENS_FOR_ONE)


def score(received_at: float, priority: Priority, allowed: float) -> float:
    """Where a request stands among its own tenant's: the lowest is served first. When it was received, less its class's head start.

    ``allowed``: for how many seconds requests may wait and run. A client that allows its own less is served no sooner for that.
    """
    return received_at - HEAD_START[priority] * allowed


def pause(took: float) -> float:
    """For how long the slot of a request that took so long may be kept for its tenant. Both in seconds.

    Anticipation (Iyer and Druschel, "Anticipatory scheduling", SOSP 2001): whoever asks one thing after another never has a
    request waiting at the moment when its slot becomes free.
    """
    return min(LONGEST_KEPT, KEPT_SHARE * took)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits: ``cost`` is the work it is expected to be, ``weight`` its tenant's."""

    request: str
    tenant: str
    score: float
    cost: float
    weight: float = 1.0


def order(waiting: Iterable[Waiting], given: Mapping[str, float]) -> list[str]:
    """Request ids in the order of service. ``given`` is each tenant's virtual time: the work it had over its weight."""
    lines: dict[str, list[tuple[float, str, Waiting]]] = defaultdict(list)
    for each in waiting:
        lines[each.tenant].append((each.score, each.request, each))
    for line in lines.values():
        line.sort(reverse=True)
    tenants = [(given.get(tenant, 0.0), line[-1][0], tenant) for tenant, line in lines.items()]
    heapq.heapify(tenants)
    served = []
    while tenants:
        had, _, tenant = heapq.heappop(tenants)
        line = lines[tenant]
        first = line.pop()[2]
        served.append(first.request)
        if line:
            heapq.heappush(tenants, (had + first.cost / first.weight, line[-1][0], tenant))
    return served
