"""What is wrong with a node, as gateways and the control plane tell each other and its owner."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, omit_defaults=True):
    """What of a node's words was not taken, and why (hash `ollamamax.bus.keys.NODE_FAULTS`). ``excess``: it used up its budget."""

    reason: str
    at: float
    excess: bool = False


class Cut(msgspec.Struct, omit_defaults=True):
    """A node that was cut off (hash `ollamamax.bus.keys.NODES_CUT`): its Redis user is off ``until`` then. ``times``: in a row."""

    reason: str
    at: float
    until: float
    times: int = 1
    over: bool = False
    """It was let in again. The record stays a while, for how long the next one is."""


decode_fault = msgspec.json.Decoder(Fault).decode
decode_cut = msgspec.json.Decoder(Cut).decode
