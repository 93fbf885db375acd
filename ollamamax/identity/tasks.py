"""Doors for the ticks of identity."""

from __future__ import annotations

from celery import shared_task

from ollamamax.bus import directory as bus_directory
from ollamamax.bus import shared
from ollamamax.contract.tables import KEYS, TENANTS
from ollamamax.identity import directory
from ollamamax.identity.actions import attempt, idempotency, retention
from ollamamax.identity.actions.key_use import move_key_use


@shared_task(name="identity.remove_ended")
def remove_ended() -> None:
    retention.remove_ended()
    idempotency.sweep()


@shared_task(name="identity.publish_directory")
def publish_directory() -> None:
    client = shared.client()
    bus_directory.reconcile(client, KEYS.name, directory.all_keys)
    bus_directory.reconcile(client, TENANTS.name, directory.all_tenants)
    move_key_use(client)
    attempt.tell_and_sweep()
