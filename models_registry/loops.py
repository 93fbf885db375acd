"""The control loops of the registry."""

from __future__ import annotations

from cluster.actions.lifecycle import NODE_STATES
from models_registry.actions import (
    collect,
    external,
    failed_jobs,
    loading,
    pieces,
    placement,
    replica,
    rollout,
    scaling,
    scrub,
    shapes,
)
from models_registry.jobs.kinds import KINDS
from models_registry.jobs.runner import JobRunner
from models_registry.replication.changed import ChangedNodes
from ollamamax.bus.loops import Leader, LeaseOf, at_stop, loop, wake

_runner = JobRunner(KINDS)
_changes = ChangedNodes()
_last_plan = placement.LastPlan()
at_stop(_runner.stop)


_RECONCILE = "models_registry.reconcile_replicas"


@loop(_RECONCILE, every=1.0, lease=LeaseOf.POSTGRES)
def reconcile_replicas(leader: Leader) -> None:
    replica.reconcile_replicas(leader.check, _changes)


@loop("models_registry.plan_replication", every=3.0, lease=LeaseOf.POSTGRES, woken_by=NODE_STATES)
def plan_replication(leader: Leader) -> None:
    if placement.plan_replication(leader.check, _last_plan):
        wake(_RECONCILE)


@loop("models_registry.carry_on_placements", every=5.0, lease=LeaseOf.POSTGRES)
def carry_on_placements(leader: Leader) -> None:
    loading.carry_on_placements(leader.check)


@loop("models_registry.decide_scaling", every=15.0, lease=LeaseOf.POSTGRES)
def decide_scaling(leader: Leader) -> None:
    scaling.decide_scaling(leader.check)


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
    collect.collect_garbage(collect.grace())


@loop("models_registry.collect_orphans", every=3600.0, lease=LeaseOf.POSTGRES)
def collect_orphans(leader: Leader) -> None:
    leader.check()
    collect.collect_orphans(collect.grace())


@loop("models_registry.scrub_blobs", every=60.0, lease=LeaseOf.POSTGRES)
def scrub_blobs(leader: Leader) -> None:
    scrub.scrub_blobs(leader.check)


@loop("models_registry.hash_pieces", every=3.0, lease=LeaseOf.POSTGRES)
def hash_pieces(leader: Leader) -> None:
    pieces.hash_pieces(leader.check)


@loop("models_registry.read_shapes", every=5.0, lease=LeaseOf.POSTGRES)
def read_shapes(leader: Leader) -> None:
    shapes.read_shapes(leader.check)


@loop("models_registry.repair_blobs", every=60.0, lease=LeaseOf.POSTGRES)
def repair_blobs(leader: Leader) -> None:
    scrub.repair_blobs(leader.check)


@loop("models_registry.tell_failed_jobs", every=15.0, lease=LeaseOf.POSTGRES)
def tell_failed_jobs(leader: Leader) -> None:
    failed_jobs.tell_failed_jobs(leader.check)


@loop("models_registry.run_rollouts", every=1.0, lease=LeaseOf.POSTGRES)
def run_rollouts(leader: Leader) -> None:
    rollout.run_rollouts(leader.check)
