"""The control plane's loop over nodes: level-triggered, safe to run twice."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping

import redis
from django.db import transaction
from django.utils import timezone

from cluster import membership
from cluster.models import Node
from cluster.telemetry import read_briefs
from ollamamax.bus import keys, regions
from ollamamax.identity.scope import every_tenant

SEEN_EACH = datetime.timedelta(seconds=10)
"""How often it is written down that a node that reports was heard."""


def observe_nodes(check: Callable[[], None] = lambda: None) -> int:
    """Bring nodes' Redis users in line, and note when each node was last heard. Returns how many are alive.

    ``check`` raises when another process does this by now.

    Queries: 1 to read, 1 for each node whose user is not in line, 1 or 2 for the nodes that were heard.
    """
    client = regions.own().client
    with every_tenant():
        # Tuples: of thousands of nodes models would cost more than all else here.
        rows = list(Node.objects.values_list("id", "redis_password_hash", "agent_version", "last_seen_at"))
        _bring_users_in_line(client, {id_: password for id_, password, _, _ in rows})
        heard = read_briefs(client, [id_.hex for id_, _, _, _ in rows])
        # Their states lapse within seconds, so they were heard now; what their own clocks say is no matter.
        now = timezone.now()
        stale = [id_ for id_, _, _, seen in rows if id_.hex in heard and (seen is None or now - seen >= SEEN_EACH)]
        updated: dict[str, list[uuid.UUID]] = {}
        for id_, _, version, _ in rows:
            brief = heard.get(id_.hex)
            if brief is not None and version != brief.agent_version:
                updated.setdefault(brief.agent_version, []).append(id_)
        if stale or updated:
            with transaction.atomic():
                check()
                Node.objects.filter(pk__in=stale).update(last_seen_at=now)
                for version, ids in updated.items():
                    Node.objects.filter(pk__in=ids).update(agent_version=version)
    return len(heard)


def _bring_users_in_line(client: redis.Redis, passwords: Mapping[uuid.UUID, str]) -> None:
    """Each node of ``passwords`` (the hash of each) has its Redis user with its rights, and nobody else has one."""
    known = membership.granted(client)
    wanted = {keys.node_user(id_.hex): membership.rights(id_.hex, password) for id_, password in passwords.items()}
    if known == wanted:
        return
    lacking = [id_ for id_ in passwords if known.get(user := keys.node_user(id_.hex)) != wanted[user]]
    for node in Node.objects.filter(pk__in=lacking):
        membership.grant(client, node)
    for name in known.keys() - wanted.keys():
        membership.forget_user(client, name)
