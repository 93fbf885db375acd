"""The control loop of the audit trail."""

from __future__ import annotations

from django.conf import settings

from ollamamax.audit.notes import note_heads
from ollamamax.bus.loops import Leader, LeaseOf, loop


@loop("audit.note_heads", every=10.0, lease=LeaseOf.POSTGRES)
def note(_: Leader) -> None:
    note_heads(settings.HOME / "audit")
