"""The control loops of the registry."""

from __future__ import annotations

from models_registry.actions import blob, external, failed_jobs, replica
from models_registry.jobs.kinds import KINDS
from models_registry.jobs.runner import JobRunner
from models_registry.replication.changed import ChangedNodes
from ollamamax.bus.loops import Leader, LeaseOf, at_stop, loop

_runner = JobRunner(KINDS)
_changes = ChangedNodes()
at_stop(_runner.stop)


@loop("models_registry.reconcile_replicas", every=1.0, lease=LeaseOf.POSTGRES)
def reconcile_replicas(leader: Leader) -> None:
    replica.reconcile_replicas(leader.check, _changes)


@loop("models_registry.forget_unheld", every=10.0, lease=LeaseOf.POSTGRES)
def forget_unheld(leader: Leader) -> None:
    leader.check()
    external.forget_unheld()


@loop("models_registry.run_jobs", every=1.0, lease=LeaseOf.NOBODY)
def run_jobs(_: Leader) -> None:
    _runner.start_waiting()


@loop("models_registry.collect_garbage", every=30.0, lease=LeaseOf.POSTGRES)
def collect_garbage(leader: Leader) -> None:
    leader.check()
    blob.collect_garbage()


@loop("models_registry.tell_failed_jobs", every=15.0, lease=LeaseOf.POSTGRES)
def tell_failed_jobs(leader: Leader) -> None:
    failed_jobs.tell_failed_jobs(leader.check)
