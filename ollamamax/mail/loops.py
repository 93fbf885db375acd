"""The control loops of mail."""

from __future__ import annotations

from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.mail.actions import sweep_mail
from ollamamax.mail.sending import send_due


@loop("mail.send", every=2.0, lease=LeaseOf.NOBODY)
def send_mail(_: Leader) -> None:
    send_due()


@loop("mail.sweep", every=60.0, lease=LeaseOf.POSTGRES)
def sweep(leader: Leader) -> None:
    leader.check()
    sweep_mail()
