"""Reads the queue for the management API: the caller's requests in it, and the tenants' shares."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from cluster.queries import request as requests
from ollamamax.identity.queries.tenant import tenants_of_ids
from ollamamax.kernel.principal import Principal

MOST_SHARES = 500
"""So many tenants are told of to the operator, those with the most that waits and runs."""


def queue(acting: Principal) -> dict[str, Any]:
    """``waiting`` of all tenants; ``requests`` of the caller's, the next first; ``shares`` of all for the operator, else the caller's own.

    Raises `Unavailable` when Redis is away. Queries: 2.
    """
    tenant = acting.tenant or ""
    line = requests.waiting(tenant)
    rows = []
    for each in line.own:
        place = line.places[each.request]
        expected = None if place.seconds is None else round(place.seconds * 1000)
        fields = {name: getattr(each, name) for name in ("request", "key", "model", "api", "priority", "received_at")}
        nodes = line.nodes.get(each.request, [])
        rows.append(fields | {"position": place.position, "expected_wait_ms": expected, "nodes": nodes})
    shares = _shares(line.of_tenant, requests.running_of_tenants(), tenant)
    if not acting.may("tenant.manage"):
        shares = [each for each in shares if each["tenant"] == tenant]
    return {
        "waiting": len(line.places),
        "requests": requests.with_key_names(rows),
        "shares": shares[:MOST_SHARES],
    }


def _shares(waiting: Counter[str], running: Counter[str], own: str) -> list[dict[str, Any]]:
    """Of each tenant that wants slots now, and of the caller's, the one with the most that waits and runs first."""
    wanting = {*waiting, *running}
    known = {tenant.id.hex: tenant for tenant in tenants_of_ids(uuid.UUID(each) for each in wanting | {own})}
    whole = sum(known[each].weight for each in wanting if each in known)
    found: list[dict[str, Any]] = [
        {
            "tenant": each,
            "tenant_name": tenant.name,
            "weight": tenant.weight,
            "waiting": waiting[each],
            "running": running[each],
            "share": round(tenant.weight / whole, 4) if each in wanting else 0.0,
        }
        for each, tenant in known.items()
    ]
    found.sort(key=lambda each: (-each["waiting"], -each["running"], each["tenant"]))
    return found
