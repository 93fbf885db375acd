"""Faults of chaos experiments: what a node is ordered to do to itself for a while, and what it says of that."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ollamamax.contract.bounds import Text, Token

NodeFault = Literal["engine_freeze", "engine_kill", "agent_freeze", "agent_kill", "slow_answers"]
"""``engine_freeze``, ``agent_freeze``: the processes are stopped (SIGSTOP) and go on afterwards (SIGCONT). ``engine_kill``, ``agent_kill``: SIGKILL.
``slow_answers``: each part of an answer comes later."""

LONGEST_FAULT = 300.0
"""Seconds after which a node ends a fault, whatever it was ordered."""
FAULT_LEASE = 5.0
"""Seconds for which an order stands in Redis unless it is renewed: without a controller the fault ends."""
MOST_FAULT_BYTES = 1024


class FaultOrder(msgspec.Struct, frozen=True):
    """Under `ollamamax.bus.keys.node_fault`, while the fault is to last. A node obeys each ``id`` once. ``seconds``: from when it begins."""

    id: Token
    fault: NodeFault
    seconds: Annotated[float, Meta(gt=0.0, le=LONGEST_FAULT)]
    milliseconds: Annotated[float, Meta(ge=0.0, le=60_000.0)] = 0.0
    """By which each part of an answer is later (``slow_answers``)."""


class FaultState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last order of a node: ``on``, ``over``, or ``refused`` with the reason. It outlives the agent's process."""

    id: Token
    fault: NodeFault
    state: Literal["on", "over", "refused"]
    why: Text = ""


decode_fault_order = msgspec.json.Decoder(FaultOrder).decode
