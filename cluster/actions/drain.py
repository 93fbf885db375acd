"""Ends what still runs on nodes whose drain has reached its deadline."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from django.utils import timezone
from redis.exceptions import RedisError

from cluster.models import Node
from ollamamax import contract, logs
from ollamamax.bus import keys, regions
from ollamamax.identity.scope import every_tenant

LOOKED_AT = datetime.timedelta(hours=1)
"""So long after its deadline a node is looked at: one that does not obey by then does not listen."""
_log = logs.get(__name__)


def end_drains(check: Callable[[], None] = lambda: None) -> int:
    """Tell each such node to let go of what it runs. Returns how many were told. Queries: 1."""
    now = timezone.now()
    with every_tenant():
        due = Node.objects.filter(schedulable=False, drain_until__lte=now, drain_until__gt=now - LOOKED_AT)
        nodes = [node.hex for node in due.values_list("id", flat=True)]
    check()
    told = 0
    for node in nodes:
        for region in regions.every():
            try:
                if region.client.scard(keys.node_slots(node)):
                    order = contract.encode_control(contract.Control("evict", ""))
                    told += int(region.client.publish(keys.node_control(node), order) > 0)
            except RedisError as error:
                _log.warning("drain_not_ended", region=region.name, node=node, error=str(error))
    return told
