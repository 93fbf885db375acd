"""What the data plane is told of a node: its Redis user, its key, its entry in the directory. Safe to repeat."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any
from urllib.parse import quote

import redis
from django.conf import settings
from redis.connection import parse_url

from cluster import guard
from cluster.models import Node
from ollamamax.bus import directory, keys, shared
from ollamamax.bus.connect import elsewhere
from ollamamax.contract.tables import NODE_KEYS, NODES, KnownKey, Registered
from ollamamax.identity.scope import every_tenant


def redis_user(node: Node) -> str:
    return keys.node_user(node.id.hex)


def redis_url(node: Node, password: str) -> str:
    """Where the node reaches Redis, as its own user."""
    place = settings.ENV["OLLAMAMAX_NODE_REDIS_URL"] or settings.REDIS_URL
    return elsewhere(f"redis://{quote(redis_user(node))}:{quote(password)}@", place)


def node_entry(node: Node) -> bytes:
    return NODES.encode(
        Registered(
            tenant=node.tenant_id.hex,
            name=node.name,
            schedulable=node.schedulable,
            shared=node.shared,
            region=node.region,
            labels=node.labels,
            hourly_cost=node.hourly_cost,
        )
    )


def key_entry(node: Node) -> bytes:
    known = KnownKey(hash=node.secret_hash, kind="node", id=node.id.hex, tenant=node.tenant_id.hex, name=node.name)
    return NODE_KEYS.encode(known)


def announce(node: Node) -> None:
    client = shared.client()
    grant(client, node)
    directory.publish(client, NODE_KEYS.name, {node.identifier: key_entry(node)})
    directory.publish(client, NODES.name, {node.id.hex: node_entry(node)})


def announce_all() -> None:
    """Compare both tables with Postgres and repair. Queries: 2 (again when somebody published meanwhile)."""
    client = shared.client()
    with every_tenant():
        directory.reconcile(client, NODES.name, lambda: {n.id.hex: node_entry(n) for n in Node.objects.all()})
        directory.reconcile(client, NODE_KEYS.name, lambda: {n.identifier: key_entry(n) for n in Node.objects.all()})


def withdraw(node: Node) -> None:
    """The Redis user goes, with its open connections, and so do the node's keys."""
    client = shared.client()
    directory.publish(client, NODE_KEYS.name, {node.identifier: None})
    directory.publish(client, NODES.name, {node.id.hex: None})
    forget_user(client, redis_user(node))
    node_id = node.id.hex
    client.unlink(*keys.node_keys(node_id), keys.node_slots(node_id), keys.kept(node_id))
    client.hdel(keys.NODE_FAULTS, node_id)
    client.hdel(keys.NODES_CUT, node_id)


def grant(client: redis.Redis, node: Node) -> None:
    """Make or repair the node's Redis user. Only the SHA-256 of its password is known here."""
    # Whoever was cut off stays so until its time is over, whatever else changes.
    off = ["off"] if guard.is_cut_off(client, node.id.hex) else []
    client.execute_command("ACL", "SETUSER", redis_user(node), *_rules(node), *off)
    client.hset(keys.NODE_RIGHTS, redis_user(node), rights(node))
    _save_users(client)


def rights(node: Node) -> str:
    """A digest of what the node's user may do, and of its password."""
    return hashlib.sha256("\n".join(_rules(node)).encode()).hexdigest()


def _rules(node: Node) -> list[str]:
    return ["reset", "on", f"#{node.redis_password_hash}", *keys.node_acl(node.id.hex, _database())]


def _database() -> int:
    return int(parse_url(settings.REDIS_URL).get("db") or 0)


def forget_user(client: redis.Redis, name: str) -> None:
    """The user goes, with its open connections."""
    client.acl_deluser(name)
    client.hdel(keys.NODE_RIGHTS, name)
    _save_users(client)


def _save_users(client: redis.Redis) -> None:
    """Keep the users over a restart, where Redis has a file for them; elsewhere `observe_nodes` makes them again."""
    with contextlib.suppress(redis.ResponseError):
        client.acl_save()


def granted(client: redis.Redis) -> dict[str, str]:
    """The node users that Redis knows, with their `rights`; empty where these are not known."""
    users: list[Any] = client.execute_command("ACL", "USERS")
    names = {user.decode() if isinstance(user, bytes) else str(user) for user in users}
    held: dict[bytes, bytes] = client.hgetall(keys.NODE_RIGHTS)
    return {name: held.get(name.encode(), b"").decode() for name in names if name.startswith("node.")}
