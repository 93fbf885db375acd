"""The control loops of notifications."""

from __future__ import annotations

import msgspec

from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.contract.health import FleetHealth, decode_health
from ollamamax.notifications.actions.delivery import give_up_late
from ollamamax.notifications.actions.fan_out import fan_out
from ollamamax.notifications.actions.health import watch_findings
from ollamamax.notifications.sending import deliver_due
from ollamamax.notifications.streaming import stream_due

_log = logs.get(__name__)


@loop("notifications.fan_out", every=1.0, lease=LeaseOf.POSTGRES)
def follow_audit(leader: Leader) -> None:
    fan_out(leader.check)


@loop("notifications.watch_health", every=5.0, lease=LeaseOf.POSTGRES, each_region=True)
def watch_health(leader: Leader) -> None:
    reports: dict[str, FleetHealth] = {}
    for tenant, value in leader.region.client.hgetall(keys.HEALTH).items():
        try:
            reports[tenant.decode()] = decode_health(value)
        except msgspec.MsgspecError:
            _log.info("health_of_another_version")
    watch_findings(reports, leader.region.name, leader.check)


@loop("notifications.deliver", every=1.0, lease=LeaseOf.NOBODY)
def deliver(_: Leader) -> None:
    deliver_due()


@loop("notifications.stream_audit", every=1.0, lease=LeaseOf.NOBODY)
def stream(_: Leader) -> None:
    stream_due()


@loop("notifications.give_up_late", every=60.0, lease=LeaseOf.POSTGRES)
def give_up(leader: Leader) -> None:
    leader.check()
    give_up_late()
