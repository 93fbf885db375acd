"""Doors for the ticks of the registry."""

from __future__ import annotations

from typing import Any

from celery import shared_task, signals

from models_registry.actions import blob, replica
from models_registry.jobs.kinds import KINDS
from models_registry.jobs.runner import Runner

_runner = Runner(KINDS)


@shared_task(name="models_registry.reconcile_replicas")
def reconcile_replicas() -> None:
    replica.reconcile_replicas()


@shared_task(name="models_registry.run_jobs")
def run_jobs() -> None:
    _runner.start_waiting()


@shared_task(name="models_registry.collect_garbage")
def collect_garbage() -> None:
    blob.collect_garbage()


@signals.worker_shutting_down.connect
def _let_go(**_: Any) -> None:
    _runner.stop()
