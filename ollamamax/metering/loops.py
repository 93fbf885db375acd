"""The control loops of metering."""

from __future__ import annotations

from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.metering import actions


@loop("metering.write_usage", every=1.0, lease=LeaseOf.POSTGRES, each_region=True)
def write_usage(leader: Leader) -> None:
    """Two at once do no harm: a record is inserted once."""
    actions.write_usage(leader.region)


@loop("metering.keep_usage", every=600.0, lease=LeaseOf.POSTGRES)
def keep_usage(leader: Leader) -> None:
    leader.check()
    actions.keep_usage()
