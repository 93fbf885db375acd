"""The control loops of publication."""

from __future__ import annotations

import time

from ollamamax.bus import publication
from ollamamax.bus.loops import Leader, LeaseOf, loop

REPAIR_SECONDS = 300.0
"""Within so long every table was compared with Postgres once."""


@loop("bus.publish", every=0.5, lease=LeaseOf.POSTGRES, each_region=True)
def publish(leader: Leader) -> None:
    """What is noted, and what the region has lost."""
    publication.repair_lost(leader.region)
    publication.publish_noted(leader.region)


@loop("bus.repair", every=REPAIR_SECONDS / 10, lease=LeaseOf.POSTGRES, each_region=True)
def repair(leader: Leader) -> None:
    """One table after the other."""
    tables = publication.tables()
    turn = int(time.time() / (REPAIR_SECONDS / 10))
    publication.repair(leader.region, tables[turn % len(tables)])
