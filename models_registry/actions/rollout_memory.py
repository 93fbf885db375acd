"""What a blue-green rollout asks of nodes: the new version in memory before the switch, the old one kept there, and let go at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from celery import current_app
from django.db import transaction
from django.db.models import Q
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from cluster.models import Node
from cluster.queries.node import states
from models_registry.actions.loading import ASKED_SECONDS, STAYS
from models_registry.models import Channel, Rollout
from models_registry.rollout.plan import OPEN
from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.contract import Load
from ollamamax.contract.profile import Profile

_log = logs.get(__name__)


@dataclass(frozen=True)
class VersionOnNodes:
    """By node (hex), what its engine calls the version: on disk, whole, on its way into memory, and in memory."""

    whole: Mapping[str, str] = field(default_factory=dict)
    loading: Mapping[str, str] = field(default_factory=dict)
    loaded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SeenMemory:
    """``heard``: whether any node said anything; without that nothing is known of memory."""

    heard: bool
    old: VersionOnNodes
    new: VersionOnNodes

    @property
    def lacking(self) -> int:
        """So many nodes more have the old version in memory than the new one."""
        return max(0, len(self.old.loaded) - len(self.new.loaded))


def seen_memory(rollout: Rollout) -> SeenMemory:
    """By the word of the nodes that take requests, in the tenant's scope. Queries: 1."""
    said = states(Node.objects.filter(schedulable=True))
    found: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
        digest: ({}, {}, {}) for digest in (rollout.from_version, rollout.to_version)
    }
    for node, state in said.items():
        for model in state.models:
            if model.version not in found:
                continue
            whole, loading, loaded = found[model.version]
            if model.state in {"ready", "present", "loading", "loaded"}:
                whole[node] = model.name
            if model.state == "loading":
                loading[node] = model.name
            elif model.state == "loaded":
                loaded[node] = model.name
    old, new = (VersionOnNodes(*found[digest]) for digest in (rollout.from_version, rollout.to_version))
    return SeenMemory(bool(said), old, new)


def warm(rollout: Rollout, seen: SeenMemory) -> None:
    """After the commit, ask for the new version in memory, on as many nodes as have the old one there: on those first."""
    lacking = seen.lacking - len(seen.new.loading)
    idle = [node for node in seen.new.whole if node not in seen.new.loading and node not in seen.new.loaded]
    for node in sorted(idle, key=lambda each: (each not in seen.old.loaded, each))[: max(0, lacking)]:
        _load_on_commit(node, rollout.to_version, seen.new.whole[node], rollout.channel)


def keep(rollout: Rollout, seen: SeenMemory) -> None:
    """After the commit, ask that the old version stays where it is in memory now, though nobody asks for it any more. Asked again each minute: what was
    asked may be lost with who asked, and a node that was started again has loaded it anew."""
    for node, name in seen.old.loaded.items():
        _load_on_commit(node, rollout.from_version, name, rollout.channel)


def let_go(rollout: Rollout, digest: str, on: VersionOnNodes) -> None:
    """After the commit, ask that a version leave memory when its requests have ended, unless a name points at it, or another rollout is about it.
    Queries: 2."""
    others = Rollout.objects.filter(Q(from_version=digest) | Q(to_version=digest), state__in=OPEN).exclude(
        pk=rollout.pk
    )
    if Channel.objects.filter(version__digest=digest).exists() or others.exists():
        return
    for node, name in on.loaded.items():
        _unload_on_commit(node, digest, name)


def _load_on_commit(node: str, digest: str, name: str, channel: Channel) -> None:
    """Unless the node was asked a moment ago to load or unload that version."""
    profile = msgspec.convert(channel.model.profile, Profile)
    # Without what it leaves to the engine: nodes of the release before know no such arguments.
    fixed = msgspec.to_builtins(Load(profile.num_ctx, profile.num_gpu))

    def send() -> None:
        if regions.own().client.set(keys.placement_asked(node, digest), "load", nx=True, ex=ASKED_SECONDS):
            current_app.send_task(
                "cluster.load_model",
                kwargs={"version": digest, "name": name, "keep_alive": STAYS, **fixed},
                queue=keys.node_queue(node),
                expires=ASKED_SECONDS,
            )

    _on_commit(send, node)


def _unload_on_commit(node: str, digest: str, name: str) -> None:
    """Unless the node was asked for that a moment ago."""

    def send() -> None:
        if (
            regions.own().client.set(keys.placement_asked(node, digest), "unload", ex=ASKED_SECONDS, get=True)
            != b"unload"
        ):
            current_app.send_task(
                "cluster.unload_model",
                kwargs={"version": digest, "name": name},
                queue=keys.node_queue(node),
                expires=ASKED_SECONDS,
            )

    _on_commit(send, node)


def _on_commit(send: Callable[[], None], node: str) -> None:
    """Where Redis is away the node is asked with the next look, or not at all: no rollout waits for that."""

    def sent() -> None:
        try:
            send()
        except (RedisError, OperationalError) as error:
            _log.warning("rollout_memory_not_asked", node=node, error=str(error))

    transaction.on_commit(sent)
