"""Sums for people: with the names of keys, nodes and tenants, and as the rows of a file."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError

from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.contract.tables import NODES
from ollamamax.identity.queries.key import names_of_keys
from ollamamax.identity.queries.tenant import tenants_of_ids
from ollamamax.metering import queries
from ollamamax.metering.queries import Sums

NAMED = 2000
"""So many nodes at most are asked for their names."""
_COUNTS = ("requests", "refused", "failed", "prompt_tokens", "completion_tokens", "cached_tokens")
_log = logs.get(__name__)


def named(found: list[Sums]) -> list[Sums]:
    """Each group with the name of its key and its node; empty for what is gone. Queries: at most 1."""
    names = names_of_keys(each.group["key"] for each in found if each.group.get("key"))
    nodes = _names_of_nodes(each.group["node"] for each in found if each.group.get("node"))
    for each in found:
        if "key" in each.group:
            each.group["key_name"] = names.get(each.group["key"], "")
        if "node" in each.group:
            each.group["node_name"] = nodes.get(each.group["node"], "")
    return found


def of_tenants(*, since: datetime.datetime | None = None, until: datetime.datetime | None = None) -> list[Sums]:
    """The sums of every tenant, with its name. For the operator. Queries: one more than those of `queries.of_tenants`."""
    found = queries.of_tenants(since=since, until=until)
    names = {tenant.id: tenant.name for tenant in tenants_of_ids(each.group["tenant_id"] for each in found)}
    for each in found:
        each.group["tenant_name"] = names.get(each.group["tenant_id"], "")
    return found


def table(by: Sequence[str], found: Sequence[Sums]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows: the groups, the counts, and costs and charges with a column for each currency there is, as text with all digits and no exponent."""
    subjects = [column for name in by for column in ([name, f"{name}_name"] if name in {"key", "node"} else [name])]
    costs = _columns("cost", {currency for each in found for currency in each.costs})
    charges = _columns("charge", {currency for each in found for currency in each.charges})
    rows = []
    for each in found:
        row = {name: _shown(each.group.get(name)) for name in subjects} | {
            name: getattr(each, name) for name in _COUNTS
        }
        row |= {costs[currency]: f"{amount:f}" for currency, (amount, _) in each.costs.items()}
        rows.append(row | {charges[currency]: f"{amount:f}" for currency, (amount, _) in each.charges.items()})
    return [*subjects, *_COUNTS, *costs.values(), *charges.values()], rows


def _columns(name: str, currencies: Iterable[str]) -> dict[str, str]:
    return {currency: f"{name}_{currency}" if currency else name for currency in sorted(currencies)}


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _names_of_nodes(some: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """As the directory has them, whose nodes' records they are; without Redis there are none."""
    wanted = list(dict.fromkeys(some))[:NAMED]
    if not wanted:
        return {}
    try:
        values = cast(
            "list[bytes | None]", regions.own().client.hmget(keys.directory(NODES.name), [each.hex for each in wanted])
        )
    except RedisError as error:
        _log.warning("nodes_unnamed", error=str(error))
        return {}
    found = {}
    for node, value in zip(wanted, values, strict=True):
        if value is not None:
            try:
                found[node] = NODES.decode(value).name
            except msgspec.MsgspecError:
                _log.warning("node_unreadable", node=node.hex)
    return found
