"""What the data plane is told of a node: its Redis user, its key, its entry in the directory. Safe to repeat."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import uuid
from typing import Any
from urllib.parse import quote

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from cluster import guard
from cluster.models import Node
from ollamamax import logs
from ollamamax.bus import keys, publication, regions, sentinels
from ollamamax.bus.connect import database_of, elsewhere
from ollamamax.bus.publication import Fields
from ollamamax.bus.sentinels import without_their_password
from ollamamax.contract.tables import EVERYBODY, NODE_KEYS, NODES, KnownKey, Registered
from ollamamax.identity.scope import every_tenant

_log = logs.get(__name__)


def redis_user(node: Node) -> str:
    return keys.node_user(node.id.hex)


def redis_url(node: Node, password: str) -> str:
    """Where the node reaches Redis, as its own user."""
    place = settings.ENV["OLLAMAMAX_NODE_REDIS_URL"] or without_their_password(settings.REDIS_URL)
    return elsewhere(f"redis://{quote(redis_user(node))}:{quote(password)}@", place)


def nodes(fields: Fields = None) -> dict[str, Registered]:
    """The nodes of these ids. One query."""
    return {
        node.id.hex: Registered(
            tenant=node.tenant_id.hex,
            name=node.name,
            schedulable=node.schedulable,
            shared=EVERYBODY in node.access,
            region=node.region,
            labels=node.labels,
            taints=node.taints,
            hourly_cost=node.hourly_cost,
            access=node.access,
            currency=settings.ENV["OLLAMAMAX_CURRENCY"],
            lifecycle=node.lifecycle,
        )
        for node in _found(None if fields is None else Q(pk__in=[uuid.UUID(field) for field in fields]))
    }


def node_keys(fields: Fields = None) -> dict[str, KnownKey]:
    """The keys of nodes with these identifiers. One query."""
    return {
        node.identifier: KnownKey(
            hash=node.secret_hash, kind="node", id=node.id.hex, tenant=node.tenant_id.hex, name=node.name
        )
        for node in _found(None if fields is None else Q(identifier__in=fields))
    }


def _found(wanted: Q | None) -> list[Node]:
    with every_tenant():
        return list(Node.objects.all() if wanted is None else Node.objects.filter(wanted))


publication.answers(NODES, nodes)
publication.answers(NODE_KEYS, node_keys)


def publish_on_commit(node: Node) -> None:
    """After the commit, tell the data plane what has become of the node: its Redis user is made, changed or removed, then its entries."""
    transaction.on_commit(lambda: _bring_user_in_line(node.id), robust=True)
    publication.publish_on_commit(NODE_KEYS, [node.identifier])
    publication.publish_on_commit(NODES, [node.id.hex])


def _bring_user_in_line(node_id: uuid.UUID) -> None:
    with every_tenant():
        node = Node.objects.filter(pk=node_id).first()
    for region in regions.every():
        try:
            if node is not None:
                grant(region.client, node)
            else:
                _withdraw(region.client, node_id.hex)
        except redis.RedisError as error:
            # The loop `cluster.observe_nodes` does it later.
            _log.warning("node_user_not_in_line_yet", region=region.name, node=node_id.hex, error=str(error))


def _withdraw(client: redis.Redis, node: str) -> None:
    """The Redis user goes, with its open connections, and so do the node's keys."""
    forget_user(client, keys.node_user(node))
    client.unlink(*keys.node_keys(node), keys.node_slots(node), keys.kept(node))
    client.hdel(keys.NODE_FAULTS, node)
    client.hdel(keys.NODES_CUT, node)


def grant(client: redis.Redis, node: Node, *, save: bool = True) -> None:
    """Make or repair the node's Redis user. Only the SHA-256 of its password is known here. Without ``save``, `save_users` is to follow."""
    # Whoever was cut off stays so until its time is over, whatever else changes.
    off = ["off"] if guard.is_cut_off(client, node.id.hex) else []
    client.execute_command("ACL", "SETUSER", redis_user(node), *_rules(node), *off)
    client.hset(keys.NODE_RIGHTS, redis_user(node), rights(node.id.hex, node.redis_password_hash))
    if save:
        save_users(client)


@functools.lru_cache(20_000)
def rights(node: str, password_hash: str) -> str:
    """A digest of what the node's user may do, and of its password."""
    return hashlib.sha256("\n".join(_rules_of(node, password_hash)).encode()).hexdigest()


def _rules(node: Node) -> list[str]:
    return _rules_of(node.id.hex, node.redis_password_hash)


def _rules_of(node: str, password_hash: str) -> list[str]:
    return ["reset", "on", f"#{password_hash}", *keys.node_acl(node, _database())]


def _database() -> int:
    return database_of(settings.REDIS_URL)


def forget_user(client: redis.Redis, name: str) -> None:
    """The user goes, with its open connections."""
    client.acl_deluser(name)
    client.hdel(keys.NODE_RIGHTS, name)
    save_users(client)


def save_users(client: redis.Redis) -> None:
    """Keep the users over a restart, where Redis has a file for them; elsewhere `observe_nodes` makes them again."""
    with contextlib.suppress(redis.ResponseError):
        client.acl_save()


def granted(client: redis.Redis, url: str) -> dict[str, str]:
    """The node users that Redis knows, with their `rights`; empty where these are not known.

    Users are not replicated, and what was noted of their rights is: on a server that has become the primary all are to be granted anew.
    """
    users: list[Any] = client.execute_command("ACL", "USERS")
    names = {user.decode() if isinstance(user, bytes) else str(user) for user in users}
    if sentinels.named(url):
        server = str(client.info("server")["run_id"])
        if (client.get(keys.NODE_RIGHTS_SERVER) or b"").decode() != server:
            client.delete(keys.NODE_RIGHTS)
            client.set(keys.NODE_RIGHTS_SERVER, server)
            _log.warning("node_users_granted_anew", server=server)
    held: dict[bytes, bytes] = client.hgetall(keys.NODE_RIGHTS)
    return {name: held.get(name.encode(), b"").decode() for name in names if name.startswith("node.")}
