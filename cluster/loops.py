"""The control loops over nodes, and over what dead gateways left open."""

from __future__ import annotations

from cluster import guard, reconcile
from cluster.dispatch import settle_dead_gateways
from ollamamax.bus.loops import Leader, LeaseOf, loop


@loop("cluster.observe_nodes", every=2.0, lease=LeaseOf.POSTGRES)
def observe_nodes(leader: Leader) -> None:
    reconcile.observe_nodes(leader.check)


@loop("cluster.guard_nodes", every=1.0, lease=LeaseOf.REDIS)
def guard_nodes(leader: Leader) -> None:
    guard.guard_nodes(leader.region.client, leader.check)


@loop("cluster.settle_lost", every=1.0, lease=LeaseOf.REDIS)
def settle_lost(leader: Leader) -> None:
    settle_dead_gateways.settle_lost(leader.region.client, check=leader.check)
