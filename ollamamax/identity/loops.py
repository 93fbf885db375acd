"""The control loops of identity."""

from __future__ import annotations

from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.identity.actions import attempt, idempotency, password_reset, retention, tenant_removal
from ollamamax.identity.actions.key_use import move_key_use
from ollamamax.identity.actions.signing_key import rotate_signing_keys


@loop("identity.move_key_use", every=5.0, lease=LeaseOf.POSTGRES, each_region=True)
def move_uses(leader: Leader) -> None:
    move_key_use(leader.region.client)


@loop("identity.sweep_log_ins", every=5.0, lease=LeaseOf.POSTGRES)
def sweep_log_ins(leader: Leader) -> None:
    leader.check()
    attempt.tell_and_sweep()


@loop("identity.answer_resets", every=2.0, lease=LeaseOf.POSTGRES)
def answer_resets(leader: Leader) -> None:
    password_reset.answer_resets(leader.check)


@loop("identity.rotate_signing_keys", every=3600.0, lease=LeaseOf.POSTGRES)
def rotate_keys(leader: Leader) -> None:
    leader.check()
    rotate_signing_keys()


@loop("identity.remove_tenants", every=10.0, lease=LeaseOf.POSTGRES)
def remove_tenants(leader: Leader) -> None:
    tenant_removal.remove_tenants(leader.check)


@loop("identity.remove_ended", every=60.0, lease=LeaseOf.POSTGRES)
def remove_ended(leader: Leader) -> None:
    leader.check()
    retention.remove_ended()
    idempotency.sweep()
    password_reset.sweep_resets()
