"""Looks at what the installation says of itself: nodes, loops, versions, when the last backup was taken."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis
from django.db import DatabaseError

from cluster.models import Node
from cluster.telemetry import read_states
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.bus.regions import Region
from ollamamax.contract.loop_state import LoopState, decode_loop_state
from ollamamax.contract.node_state import NodeState
from ollamamax.doctor.diagnosis import Diagnosis, fault, fine, warning
from ollamamax.identity.scope import every_tenant

MOST_NAMED = 10
AT_ONCE = 500
LATE = 5.0
"""A loop has stopped when it did not run for so many of its intervals, and for a minute."""
BACKUP_DAYS = 2.0


def nodes(region: Region, release: str) -> list[Diagnosis]:
    """Queries once. Nodes dial out, so that one is reachable is seen by its reports."""
    try:
        with every_tenant():
            known = {node.id.hex: node.name for node in Node.objects.only("id", "name", "tenant").order_by("name")}
        every = list(known)
        states: dict[str, NodeState] = {}
        for first in range(0, len(every), AT_ONCE):
            states |= read_states(region.client, every[first : first + AT_ONCE])
    except (redis.RedisError, DatabaseError):
        return []  # what does not answer is told of where it is looked at
    return judge_nodes(known, states, release)


def judge_nodes(known: Mapping[str, str], states: Mapping[str, NodeState], release: str) -> list[Diagnosis]:
    """Pure."""
    found = []
    silent = [name for node, name in known.items() if node not in states]
    if not known:
        found.append(
            warning("no_nodes", "No host has joined.", "ollamamax node token, and `ollamamax-node join` on the host.")
        )
    elif silent:
        make = fault if len(silent) == len(known) else warning
        found.append(
            make(
                "nodes_silent",
                f"{len(silent)} of {len(known)} nodes do not report: {_some(silent)}.",
                "On the host: is ollamamax-node running, and does it reach Redis and OLLAMAMAX_PUBLIC_URL? Its log says.",
            )
        )
    others = sorted(
        {state.agent_version for node, state in states.items() if node in known and state.agent_version != release}
    )
    if others:
        found.append(
            warning(
                "nodes_release",
                f"Nodes run {_some(others)}, and this is {release}.",
                "Update the nodes: one release apart works, two may not.",
            )
        )
    skewed = [
        known[node] for node, state in states.items() if node in known and abs(state.clock_skew_seconds or 0) >= 2
    ]
    if skewed:
        found.append(warning("clock", f"The clocks of {_some(skewed)} are wrong.", "Set them by NTP (chrony)."))
    return found or [fine("nodes", f"All {len(known)} nodes report.")]


def loops(region: Region) -> list[Diagnosis]:
    try:
        held: Mapping[bytes, bytes] = region.client.hgetall(keys.LOOPS)
    except redis.RedisError:
        return []
    return judge_loops([decode_loop_state(value) for value in held.values()], time.time())


def judge_loops(states: Sequence[LoopState], now: float) -> list[Diagnosis]:
    """Pure."""
    if not states:
        return [fault("no_controller", "No controller has ever run.", "Start `ollamamax controller`.")]
    stopped = [s.loop for s in states if now - s.began_at > max(60.0, LATE * s.every_ms / 1000 + s.took_ms / 1000)]
    failed = [f"{s.loop} ({s.error})" for s in states if s.error and s.loop not in stopped]
    found = []
    if stopped:
        found.append(
            fault(
                "loops_stopped",
                f"Loops have stopped: {_some(stopped)}.",
                "Is `ollamamax controller` running? Its log says.",
            )
        )
    if failed:
        found.append(
            warning("loops_failing", f"Loops fail: {_some(failed)}.", "The controller's log has the whole error.")
        )
    return found or [fine("loops", f"All {len(states)} loops run.")]


def backup(now: datetime.datetime) -> list[Diagnosis]:
    """Queries once."""
    try:
        last = AuditRecord.objects.filter(action="backup.take").order_by("-at").values_list("at", flat=True).first()
    except DatabaseError:
        return []
    if last is None:
        return [
            warning("no_backup", "No backup has ever been taken.", "ollamamax backup, every night (docs/backup.md).")
        ]
    days = (now - last).total_seconds() / 86400
    if days > BACKUP_DAYS:
        return [
            warning("backup_old", f"The last backup was taken {days:.0f} days ago.", "ollamamax backup, every night.")
        ]
    return [fine("backup", f"The last backup was taken {days * 24:.0f} hours ago.")]


def _some(names: Iterable[Any]) -> str:
    every = [str(name) for name in names]
    rest = len(every) - MOST_NAMED
    return ", ".join(every[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
