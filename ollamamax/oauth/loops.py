"""The control loop of OAuth."""

from __future__ import annotations

from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.oauth.actions.family import sweep_tokens


@loop("oauth.sweep_tokens", every=600.0, lease=LeaseOf.POSTGRES)
def sweep(leader: Leader) -> None:
    leader.check()
    sweep_tokens()
