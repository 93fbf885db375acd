"""The control loop of the audit trail."""

from __future__ import annotations

from django.conf import settings

from ollamamax.audit.notes import note_heads
from ollamamax.audit.published import publish_heads
from ollamamax.audit.retention import make_partitions
from ollamamax.blobs.places import heads_bucket
from ollamamax.bus.loops import Leader, LeaseOf, loop


@loop("audit.note_heads", every=10.0, lease=LeaseOf.POSTGRES)
def note(_: Leader) -> None:
    note_heads(settings.HOME / "audit")


@loop("audit.publish_heads", every=60.0, lease=LeaseOf.POSTGRES)
def publish(_: Leader) -> None:
    if (store := heads_bucket(settings.HOME, settings.ENV)) is not None:
        publish_heads(store, settings.HOME / "audit")


@loop("audit.make_partitions", every=3600.0, lease=LeaseOf.POSTGRES)
def make(leader: Leader) -> None:
    leader.check()
    make_partitions()
