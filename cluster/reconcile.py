"""The control plane's loop over nodes: level-triggered, safe to run twice."""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Callable, Mapping

import redis
from django.db import transaction
from django.utils import timezone

from cluster import membership
from cluster.models import Node
from cluster.queries.node import fleet_mark
from cluster.telemetry import Briefs
from ollamamax.bus import keys, regions
from ollamamax.identity.scope import every_tenant

SEEN_EACH = datetime.timedelta(seconds=8)
"""How often it is written down that a node that reports was heard."""
LOOK_EACH = 10.0
"""Seconds after which nodes are looked at though nothing shows a change."""


class LastLook:
    """What one process saw when it last looked at all nodes."""

    def __init__(self) -> None:
        self.briefs = Briefs()
        self._mark: object = None
        self._users: dict[str, str] | None = None
        self._at = 0.0

    def is_current(self, mark: object, users: dict[str, str], now: float) -> bool:
        """Whether there is nothing to do: as many nodes (``mark``) as then, the same ``users`` in Redis, and it is not long ago."""
        return mark == self._mark and users == self._users and now - self._at < LOOK_EACH

    def looked(self, mark: object, users: dict[str, str], now: float) -> None:
        """Nothing was left undone of what was seen then."""
        self._mark, self._users, self._at = mark, users, now


def observe_nodes(check: Callable[[], None] = lambda: None, last: LastLook | None = None) -> int:
    """Bring nodes' Redis users in line, and note when each node was last heard. Returns how many are alive, of those it looked at.

    ``check`` raises when another process does this by now. ``last`` remembers what was seen; without it every node is looked at.
    Queries: 1 where nothing has changed; else 1 more to read, 1 for the nodes whose users are not in line, 1 or 2 for those that were heard.
    """
    region = regions.own()
    client = region.client
    with every_tenant():
        known = membership.granted(client, region.redis_url)
        seen = (fleet_mark(), known, time.monotonic())
        if last is not None and last.is_current(*seen):
            return 0
        # Tuples: of thousands of nodes models would cost more than all else here.
        rows = list(Node.objects.values_list("id", "redis_password_hash", "agent_version", "last_seen_at"))
        _bring_users_in_line(client, known, {id_: password for id_, password, _, _ in rows})
        heard = (last.briefs if last is not None else Briefs()).read(client, [id_.hex for id_, _, _, _ in rows])
        # Their states lapse within seconds, so they were heard now; what their own clocks say is no matter.
        now = timezone.now()
        stale = [
            id_
            for id_, _, _, heard_at in rows
            if id_.hex in heard and (heard_at is None or now - heard_at >= SEEN_EACH)
        ]
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
        if last is not None:
            last.looked(*seen)
    return len(heard)


def _bring_users_in_line(client: redis.Redis, known: Mapping[str, str], passwords: Mapping[uuid.UUID, str]) -> None:
    """Each node of ``passwords`` (the hash of each) has its Redis user with its rights, and nobody else has one. ``known``: who has which."""
    wanted = {keys.node_user(id_.hex): membership.rights(id_.hex, password) for id_, password in passwords.items()}
    if known == wanted:
        return
    lacking = [id_ for id_ in passwords if known.get(user := keys.node_user(id_.hex)) != wanted[user]]
    for node in Node.objects.filter(pk__in=lacking):
        membership.grant(client, node, save=False)
    membership.save_users(client)
    for name in known.keys() - wanted.keys():
        membership.forget_user(client, name)
