"""The control plane's loop over nodes: level-triggered, safe to run twice."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from cluster import membership
from cluster.models import Node
from cluster.telemetry import read_briefs
from ollamamax.bus import regions
from ollamamax.identity.scope import every_tenant

SEEN_EACH = datetime.timedelta(seconds=10)
"""How often it is written down that a node that reports was heard."""


def observe_nodes(check: Callable[[], None] = lambda: None) -> int:
    """Bring nodes' Redis users in line, and note when each node was last heard. Returns how many are alive.

    ``check`` raises when another process does this by now.

    Queries: 1 to read, 1 for the nodes that were heard.
    """
    with every_tenant():
        client = regions.own().client
        nodes = list(Node.objects.only("id", "agent_version", "last_seen_at", "redis_password_hash"))
        known = membership.granted(client)
        for node in nodes:
            if known.get(membership.redis_user(node)) != membership.rights(node):
                membership.grant(client, node)
        for name in known.keys() - {membership.redis_user(node) for node in nodes}:
            membership.forget_user(client, name)
        heard = read_briefs(client, [node.id.hex for node in nodes])
        # Their states lapse within seconds, so they were heard now; what their own clocks say is no matter.
        now = timezone.now()
        stale = [
            node.pk
            for node in nodes
            if node.id.hex in heard and (node.last_seen_at is None or now - node.last_seen_at >= SEEN_EACH)
        ]
        updated = []
        for node in nodes:
            brief = heard.get(node.id.hex)
            if brief is not None and node.agent_version != brief.agent_version:
                node.agent_version = brief.agent_version
                updated.append(node)
        if stale or updated:
            with transaction.atomic():
                check()
                Node.objects.filter(pk__in=stale).update(last_seen_at=now)
                Node.objects.bulk_update(updated, ["agent_version"])
    return len(heard)
