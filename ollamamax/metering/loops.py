"""The control loops of metering."""

from __future__ import annotations

from ollamamax.bus.loops import Leader, LeaseOf, loop
from ollamamax.metering.actions import prompt, spending
from ollamamax.metering.actions import usage as actions


@loop("metering.write_usage", every=1.0, lease=LeaseOf.POSTGRES, each_region=True)
def write_usage(leader: Leader) -> None:
    """Two at once do no harm: a record is inserted once."""
    actions.write_usage(leader.region)


@loop("metering.keep_usage", every=600.0, lease=LeaseOf.POSTGRES)
def keep_usage(leader: Leader) -> None:
    leader.check()
    actions.keep_usage()


@loop("metering.write_prompts", every=1.0, lease=LeaseOf.POSTGRES, each_region=True)
def write_prompts(leader: Leader) -> None:
    """Two at once do no harm: a prompt is inserted once."""
    prompt.write_prompts(leader.region)


@loop("metering.sweep_prompts", every=60.0, lease=LeaseOf.POSTGRES)
def sweep_prompts(leader: Leader) -> None:
    leader.check()
    prompt.sweep_prompts()


@loop("metering.balance_budgets", every=5.0, lease=LeaseOf.POSTGRES, each_region=True)
def balance_budgets(leader: Leader) -> None:
    """What Redis lost of the spending it is told again."""
    spending.balance(leader.region)


@loop("metering.tell_budgets", every=5.0, lease=LeaseOf.POSTGRES, each_region=True)
def tell_budgets(leader: Leader) -> None:
    spending.tell(leader.region, check=leader.check)
