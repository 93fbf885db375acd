"""How long a page of the audit trail takes in very many records that were generated, by what is asked, and by which plan."""

from __future__ import annotations

import datetime
import random
import secrets
import time
from collections.abc import Callable
from typing import Any

from benchmarks.audit_rows import MONTHS, OFTEN, RARE, TARGETS, tenant

MOST_SECONDS = 60
"""For one kind of question."""


def search(tenants: int, users: int, rounds: int) -> tuple[dict[str, tuple[float, float, int]], dict[str, str]]:
    """As the API asks, for a page of 50 and what tells whether there is another, in a tenant that is chosen anew each time."""
    from ollamamax.audit.personal import opened
    from ollamamax.identity.api.audit import matching
    from ollamamax.kernel.principal import Principal

    dice = random.Random(2)
    now = datetime.datetime.now(datetime.UTC)

    def day() -> dict[str, Any]:
        begin = now - datetime.timedelta(days=dice.randrange(1, 30 * MONTHS))
        return {"at__gte": begin, "at__lt": begin + datetime.timedelta(days=1)}

    asks: dict[str, Callable[[], dict[str, Any]]] = {
        "the newest": dict,
        "a day": day,
        "an action that is often": lambda: {"action__startswith": dice.choice(OFTEN)},
        "an action that is rare": lambda: {"action__startswith": RARE},
        "a group of actions": lambda: {"action__startswith": "session."},
        "who did it, by id": lambda: {"actor_id": f"{dice.randrange(users) + 1:032x}"},
        "who did it, by a part of the name": lambda: {"actor": f"person-{dice.randrange(users)}@"},
        "what it was done to": lambda: {"target_id": f"{dice.randrange(TARGETS):032x}"},
        "a kind of thing in a day": lambda: {"target_type": "model"} | day(),
        "what was refused": lambda: {"outcome": "refused"},
        "what failed (there is none)": lambda: {"outcome": "failed"},
        "a request (there is none)": lambda: {"request": secrets.token_hex(16)},
        "text that is often": lambda: {"search": "thing-1"},
        "text that is seldom": lambda: {"search": f'thing-{dice.randrange(TARGETS)}"'},
        "text in a day": lambda: {"search": f'thing-{dice.randrange(TARGETS)}"'} | day(),
        "text that is nowhere": lambda: {"search": "no such text"},
    }
    found, plans = {}, {}
    for name, ask in asks.items():
        took: list[float] = []
        rows: list[Any] = []
        for _ in range(rounds):
            acting = Principal("user", "x", tenant(dice.randrange(tenants)), "x")
            begun = time.perf_counter()
            rows = opened(matching(acting, {"chain": "tenant", **ask()})[:51])
            took.append((time.perf_counter() - begun) * 1000)
            if sum(took) > MOST_SECONDS * 1000:
                break
        found[name] = (sorted(took)[len(took) // 2], sorted(took)[int(len(took) * 0.99)], len(rows))
        asked = matching(acting, {"chain": "tenant", **ask()})[:51]
        plans[name] = asked.explain(analyze=True, costs=False, timing=False, summary=True)
        print(f"  {name}: {found[name]}", flush=True)
    return found, plans
