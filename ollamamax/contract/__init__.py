"""Every message between gateway, node and control plane. The standard library and msgspec only: nodes import it.

Encoding: MessagePack for tickets and frames, JSON for states and usage records (people read those).
Times are Unix seconds (float), durations milliseconds (float), sizes bytes.
"""

from ollamamax.contract.inference import NOTHING_FIXED, Delivery, Inference, Kind, Load, Options
from ollamamax.contract.node_state import (
    Engine,
    Gpu,
    ModelState,
    NodeState,
    OrderState,
    decode_node_state,
    decode_order,
)
from ollamamax.contract.output import (
    LOST,
    Delta,
    Event,
    Failure,
    Final,
    FinishReason,
    Frame,
    Started,
    decode_frames,
    encode_frames,
    joined,
)
from ollamamax.contract.ticket import (
    Control,
    Ticket,
    Verb,
    decode_control,
    decode_ticket,
    encode_control,
    encode_ticket,
)
from ollamamax.contract.usage import (
    AttemptRecord,
    OpenRequest,
    Outcome,
    Route,
    ScoredNode,
    UsageRecord,
    decode_open,
    decode_usage,
    encode_json,
)

__all__ = [
    "LOST",
    "NOTHING_FIXED",
    "AttemptRecord",
    "Control",
    "Delivery",
    "Delta",
    "Engine",
    "Event",
    "Failure",
    "Final",
    "FinishReason",
    "Frame",
    "Gpu",
    "Inference",
    "Kind",
    "Load",
    "ModelState",
    "NodeState",
    "OpenRequest",
    "Options",
    "OrderState",
    "Outcome",
    "Route",
    "ScoredNode",
    "Started",
    "Ticket",
    "UsageRecord",
    "Verb",
    "decode_control",
    "decode_frames",
    "decode_node_state",
    "decode_open",
    "decode_order",
    "decode_ticket",
    "decode_usage",
    "encode_control",
    "encode_frames",
    "encode_json",
    "encode_ticket",
    "joined",
]
