"""Every message between gateway, node and control plane. The standard library and msgspec only: nodes import it.

Encoding: MessagePack for tickets and frames, JSON for states and usage records (people read those).
Times are Unix seconds (float), durations milliseconds (float), sizes bytes.
"""

from ollamamax.contract.bounds import told
from ollamamax.contract.faults import Cut, Fault, decode_cut, decode_fault
from ollamamax.contract.from_node import Nonsense, decode_done, decode_frames, decode_node_state, decode_order
from ollamamax.contract.inference import NOTHING_FIXED, Delivery, Inference, Kind, Load, Options
from ollamamax.contract.node_state import (
    Counted,
    Engine,
    Gpu,
    ModelState,
    NodeState,
    OrderState,
    Progress,
)
from ollamamax.contract.output import (
    LOST,
    CallPart,
    Delta,
    Event,
    Failure,
    Final,
    FinishReason,
    Frame,
    Started,
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
    encode_usage,
)

__all__ = [
    "LOST",
    "NOTHING_FIXED",
    "AttemptRecord",
    "CallPart",
    "Control",
    "Counted",
    "Cut",
    "Delivery",
    "Delta",
    "Engine",
    "Event",
    "Failure",
    "Fault",
    "Final",
    "FinishReason",
    "Frame",
    "Gpu",
    "Inference",
    "Kind",
    "Load",
    "ModelState",
    "NodeState",
    "Nonsense",
    "OpenRequest",
    "Options",
    "OrderState",
    "Outcome",
    "Progress",
    "Route",
    "ScoredNode",
    "Started",
    "Ticket",
    "UsageRecord",
    "Verb",
    "decode_control",
    "decode_cut",
    "decode_done",
    "decode_fault",
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
    "encode_usage",
    "joined",
    "told",
]
