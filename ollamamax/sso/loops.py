"""The control loop of single sign-on."""

from __future__ import annotations

from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.sso.actions.ldap import sync_directories


@loop("sso.sync_directories", every=15.0, lease=LeaseOf.POSTGRES)
def sync(leader: Leader) -> None:
    sync_directories(leader.check)
