"""Doors for the control plane's ticks."""

from __future__ import annotations

from celery import shared_task

from cluster import guard, reconcile
from cluster.dispatch import settle_dead_gateways
from ollamamax.bus import shared


@shared_task(name="cluster.observe_nodes")
def observe_nodes() -> None:
    reconcile.observe_nodes()


@shared_task(name="cluster.guard_nodes")
def guard_nodes() -> None:
    guard.guard_nodes(shared.client())


@shared_task(name="cluster.settle_lost")
def settle_lost() -> None:
    client = shared.client()
    settle_dead_gateways.settle_lost(client)
