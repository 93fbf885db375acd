"""What the control plane wants of the gateway that has a request: to end it, to move it in the queue, or to say how far it is."""

from __future__ import annotations

from typing import Literal

import msgspec

from tests.contract.releases.v0_2.usage import Route


class GatewayOrder(msgspec.Struct, omit_defaults=True):
    """To ``cancel`` a request that waits or runs, to ``prioritise`` one that waits, or to ``describe`` one of either.

    ``by`` names who cancels, for the request's record; ``priority`` is what it has from now on; ``question`` names the list
    (`ollamamax.bus.keys.description`) for the description.
    """

    verb: Literal["cancel", "prioritise", "describe"]
    request: str
    by: str = ""
    priority: Literal["high", "normal", "low"] = "normal"
    question: str = ""


class Described(msgspec.Struct, omit_defaults=True):
    """How far a request is that is not over: when its node began (Unix seconds, of the gateway's clock), when its first output came, what was counted until now."""

    route: Route
    started_at: float | None = None
    first_token_at: float | None = None
    completion_tokens: int = 0


encode_gateway_order = msgspec.json.Encoder().encode
decode_gateway_order = msgspec.json.Decoder(GatewayOrder).decode
decode_described = msgspec.json.Decoder(Described).decode
