"""Tickets, the attempts to run a request on a node; and what a gateway tells a node of one under way."""

from __future__ import annotations

from typing import Literal

import msgspec

from tests.contract.releases.v0_2.inference import NOTHING_FIXED, Inference, Load
from tests.contract.releases.v0_2.node_log import LogSource

Verb = Literal["cancel", "resend", "pause", "resume", "evict", "log"]


class Ticket(msgspec.Struct, omit_defaults=True):
    """One attempt to run one request on one node; ``id`` is the request id, a dot, and the attempt number."""

    id: str
    gateway: str
    tenant: str
    version: str
    """The manifest digest, ``sha256:`` and 64 hexadecimal digits."""
    model: str
    """The name the engine knows the model by (its own name for external models)."""
    deadline: float
    traceparent: str
    inference: Inference
    load: Load = NOTHING_FIXED
    left: float | None = None
    """Seconds that the request had left when the ticket was written: the node counts them from when it takes it. Its gateway ends it
    in time, by its own clock; ``None``, of an older gateway, leaves only ``deadline``, which another clock has set."""


class Control(msgspec.Struct, array_like=True):
    """To a node: ``cancel`` a ticket, ``resend`` its events from number ``seq`` on, ``pause`` its engine or let it ``resume``;
    ``evict`` all that runs, so that it goes on elsewhere; ``log``: tell the lines of ``source`` after number ``seq`` to who asked,
    whose question is ``ticket`` (`NodeLog`, on the channel `ollamamax.bus.keys.log_answer`)."""

    verb: Verb
    ticket: str
    gateway: str = ""
    seq: int = 0
    source: LogSource = "agent"


encode_ticket = msgspec.msgpack.Encoder().encode
decode_ticket = msgspec.msgpack.Decoder(Ticket).decode
encode_control = msgspec.msgpack.Encoder().encode
decode_control = msgspec.msgpack.Decoder(Control).decode
