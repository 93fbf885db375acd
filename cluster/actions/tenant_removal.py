"""What a tenant has of the fleet, when everything of it is removed: its nodes, its place on other tenants' nodes, its keys in Redis."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any, cast

import redis
from django.db import transaction

from cluster import membership
from cluster.models import Node
from ollamamax.bus import keys, publication, regions
from ollamamax.contract.tables import ALIASES, BLOBS, BUDGETS, MODELS
from ollamamax.identity.scope import every_tenant

AT_ONCE = 1000
_HOUR = re.compile(r"omx:history:(\d+)")
_OF_TENANTS = (keys.HEALTH, keys.FAILED_JOBS, keys.WORK)
"""Hashes that have one field for each tenant."""
_NAMED = (MODELS, ALIASES, BLOBS)
"""Tables of the directory whose fields begin with their tenant."""


def remove_nodes(tenant_id: uuid.UUID, most: int) -> int:
    """Nodes of the tenant in scope: their Redis users and keys stop working within a second. Returns how many."""
    some = list(Node.objects.filter(tenant=tenant_id).order_by("pk")[:most])
    for node in some:
        membership.publish_on_commit(Node(id=node.id, identifier=node.identifier))
        node.delete()
    return len(some)


def withdraw_access(tenant_id: uuid.UUID, most: int) -> int:
    """Nodes that serve the tenant besides their own no longer name it. Returns how many were changed."""
    with every_tenant():
        some = list(Node.objects.select_for_update().filter(access__contains=[tenant_id.hex]).order_by("pk")[:most])
        for node in some:
            node.access = [each for each in node.access if each != tenant_id.hex]
            node.save(update_fields=["access"])
            membership.publish_on_commit(node)
    return len(some)


def forget_in_redis(tenant_id: uuid.UUID) -> None:
    """Every key, field and entry that has the tenant's id, in every region. Raises `RedisError` while one cannot be reached.

    What keys of the tenant were limited by, and what was spent of its budgets, goes by its own time to live.
    """
    tenant = tenant_id.hex
    for region in regions.every():
        _forget(region.client, tenant)
    with transaction.atomic(durable=True):
        # They are read again, and are no more: so every gateway forgets them.
        publication.publish_on_commit(BUDGETS, [tenant])
        for table in _NAMED:
            fields = {
                field
                for region in regions.every()
                for field in _fields(region.client, keys.directory(table.name), f"{tenant}/*")
            }
            publication.publish_on_commit(table, sorted(fields))


def _forget(client: redis.Redis, tenant: str) -> None:
    for name in _keys(client, "omx:history:*"):
        hour = _HOUR.fullmatch(name)
        if hour is None:
            continue
        gone = [series for series, owner in _pairs(client, name) if owner == tenant]
        for start in range(0, len(gone), AT_ONCE):
            some = gone[start : start + AT_ONCE]
            client.unlink(*[keys.history(int(hour.group(1)), series) for series in some])
            client.hdel(name, *some)
    for name in _OF_TENANTS:
        client.hdel(name, tenant)
    client.zrem(keys.LIVE_WATCHED, tenant)
    for name, apart in ((keys.LARGE, " "), (keys.QUARANTINED, ":"), (keys.SUSPECTED, ":")):
        members = [member for member, _ in client.zscan_iter(name, match=f"{tenant}{apart}*", count=AT_ONCE)]
        if members:
            client.zrem(name, *members)
    some = []
    for name in _keys(client, f"omx:*{tenant}*"):
        some.append(name)
        if len(some) == AT_ONCE:
            client.unlink(*some)
            some = []
    if some:
        client.unlink(*some)


def _keys(client: redis.Redis, pattern: str) -> Iterator[str]:
    for name in client.scan_iter(match=pattern, count=AT_ONCE):
        yield _text(name)


def _fields(client: redis.Redis, name: str, pattern: str) -> Iterator[str]:
    for field, _ in client.hscan_iter(name, match=pattern, count=AT_ONCE):
        yield _text(field)


def _pairs(client: redis.Redis, name: str) -> list[tuple[str, str]]:
    return [(_text(field), _text(value)) for field, value in client.hscan_iter(name, count=AT_ONCE)]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else cast("str", value)
