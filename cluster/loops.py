"""The control loops over nodes, and over what dead gateways left open."""

from __future__ import annotations

import time

from django.utils import timezone

from cluster import fleet_series, guard, reconcile
from cluster.actions import drain, experiment, history, incident, prediction, recovery
from cluster.actions.lifecycle import NODE_STATES, FollowedNodes, follow_nodes
from cluster.dispatch import settle_dead_gateways
from cluster.fleet_watch import EVERY, FleetWatch
from cluster.queries.health import read_reports
from ollamamax.bus.loops import Leader, LeaseOf, loop, wake
from ollamamax.observability.exposition import write_at_scrape

_watches: dict[str, FleetWatch] = {}


@loop("cluster.watch_fleet", every=EVERY, lease=LeaseOf.REDIS)
def watch_fleet(leader: Leader) -> None:
    watch = _watches.setdefault(leader.region.name, FleetWatch(leader.region.name))
    watch.look(leader.region.client, fence=leader.fence, check=leader.check)


def _fleet_series(openmetrics: bool) -> str:
    seen = [watch.seen for watch in list(_watches.values()) if watch.seen is not None]
    return fleet_series.write(seen, time.time(), openmetrics=openmetrics)


write_at_scrape(_fleet_series)


_last_look = reconcile.LastLook()


@loop("cluster.observe_nodes", every=2.0, lease=LeaseOf.POSTGRES)
def observe_nodes(leader: Leader) -> None:
    reconcile.observe_nodes(leader.check, _last_look)


_followed = FollowedNodes()
_FOLLOW = "cluster.follow_nodes"


@loop(_FOLLOW, every=1.0, lease=LeaseOf.POSTGRES)
def follow_states(leader: Leader) -> None:
    if follow_nodes(_followed, leader.check):
        wake(NODE_STATES)
    if _followed.ears.in_doubt:
        wake(_FOLLOW)


@loop("cluster.follow_incidents", every=2.0, lease=LeaseOf.POSTGRES, each_region=True)
def follow_incidents(leader: Leader) -> None:
    incident.follow_incidents(read_reports(leader.region.client), leader.region.name, leader.check)


@loop("cluster.carry_on_recoveries", every=2.0, lease=LeaseOf.POSTGRES)
def carry_on_recoveries(leader: Leader) -> None:
    prediction.act_on_predictions(leader.check)
    recovery.carry_on(leader.check)


@loop("cluster.carry_on_experiments", every=1.0, lease=LeaseOf.POSTGRES)
def carry_on_experiments(leader: Leader) -> None:
    experiment.carry_on_experiments(leader.fence, leader.check)


_turns: dict[str, guard.MeasuringTurns] = {}
"""Of each region."""


@loop("cluster.guard_nodes", every=1.0, lease=LeaseOf.REDIS)
def guard_nodes(leader: Leader) -> None:
    guard.guard_nodes(leader.region.client, leader.check, _turns.setdefault(leader.region.name, guard.MeasuringTurns()))


@loop("cluster.settle_lost", every=1.0, lease=LeaseOf.REDIS)
def settle_lost(leader: Leader) -> None:
    settle_dead_gateways.settle_lost(leader.region.client, check=leader.check)


@loop("cluster.end_drains", every=2.0, lease=LeaseOf.POSTGRES)
def end_drains(leader: Leader) -> None:
    drain.end_drains(leader.check)


@loop("cluster.fold_history", every=20.0, lease=LeaseOf.POSTGRES, each_region=True)
def fold_history(leader: Leader) -> None:
    history.fold_history(leader.region, now=time.time(), check=leader.check)


@loop("cluster.drop_history", every=1800.0, lease=LeaseOf.POSTGRES)
def drop_history(leader: Leader) -> None:
    leader.check()
    history.drop_old(timezone.now())
