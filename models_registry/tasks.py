"""Doors for the ticks of the registry."""

from __future__ import annotations

from celery import shared_task

from models_registry.actions import replica


@shared_task(name="models_registry.reconcile_replicas")
def reconcile_replicas() -> None:
    replica.reconcile_replicas()
