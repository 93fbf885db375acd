"""The control plane's loop over nodes: level-triggered, safe to run twice."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from cluster import membership
from cluster.models import Node
from cluster.telemetry import read_states
from ollamamax.bus import regions
from ollamamax.identity.scope import every_tenant


def observe_nodes(check: Callable[[], None] = lambda: None) -> int:
    """Bring nodes' Redis users in line, and note when each node was last heard. Returns how many are alive.

    ``check`` raises when another process does this by now.

    Queries: 1 to read, 1 for the nodes that were heard.
    """
    with every_tenant():
        client = regions.own().client
        nodes = list(Node.objects.all())
        known = membership.granted(client)
        for node in nodes:
            if known.get(membership.redis_user(node)) != membership.rights(node):
                membership.grant(client, node)
        for name in known.keys() - {membership.redis_user(node) for node in nodes}:
            membership.forget_user(client, name)
        states = read_states(client, [node.id.hex for node in nodes])
        now, heard = timezone.now(), []
        for node in nodes:
            state = states.get(node.id.hex)
            if state is not None:
                # Its state lapses within seconds, so it was heard now; what its own clock says is no matter.
                node.last_seen_at = now
                node.agent_version = state.agent_version
                heard.append(node)
        with transaction.atomic():
            check()
            Node.objects.bulk_update(heard, ["last_seen_at", "agent_version"])
    return len(heard)
