"""Doors for the control plane's ticks."""

from __future__ import annotations

from celery import shared_task

from cluster import reconcile
from cluster.dispatch import lost
from ollamamax.bus import shared


@shared_task(name="cluster.observe_nodes")
def observe_nodes() -> None:
    reconcile.observe_nodes()


@shared_task(name="cluster.settle_lost")
def settle_lost() -> None:
    client = shared.client()
    lost.settle_lost(client)
