"""A node's telemetry, and how far it is with what a job ordered of it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import Meta

from ollamamax.contract.bounds import (
    MOST_MODELS,
    Capacity,
    Count,
    Digest,
    Few,
    Id,
    Measure,
    Name,
    Status,
    Text,
    Time,
    Token,
    Tokens,
    Word,
)
from ollamamax.contract.experiment import FaultState, NodeFault
from ollamamax.contract.peers import PeerPlace

Throttle = Literal["hot", "slowed_by_hardware", "power_brake", "power_limit"]
"""``hot``: for its temperature; ``power_brake``: the host's power supply asks for it; ``power_limit``: its own limit, which is usual under load."""

Phase = Literal["loading", "reading", "writing"]
"""What a request is at: its model comes into memory, its prompt is read, or its answer is written."""


class Gpu(msgspec.Struct, omit_defaults=True):
    """One GPU as its vendor's library reports it; what the library does not tell is ``None``."""

    index: Few
    name: Name
    load_percent: Measure | None = None
    memory_used: Count | None = None
    memory_total: Count | None = None
    temperature_celsius: Measure | None = None
    power_watts: Measure | None = None
    ecc_errors: Count | None = None
    """Uncorrected ones since the driver was loaded."""
    ecc_corrected: Count | None = None
    power_limit_watts: Measure | None = None
    slowdown_celsius: Measure | None = None
    """The temperature at which the card slows itself down."""
    clock_mhz: Measure | None = None
    """Of its processors, now; ``clock_max_mhz`` is the highest that it has."""
    clock_max_mhz: Measure | None = None
    throttled: Annotated[list[Throttle], Meta(max_length=8)] | None = None
    """Why it runs slower than it could; empty when it does not, ``None`` where the driver does not tell."""
    xid: Few | None = None
    """The number of the last fault (Xid) that NVIDIA's driver told while the agent ran."""
    xid_seconds: Measure | None = None
    """How long ago that was when this was said."""
    remap_failed: bool | None = None
    """Whether broken memory could not be replaced by the card's spare rows."""


class Engine(msgspec.Struct, omit_defaults=True):
    """One engine of a node: what it is, and whether it answers."""

    kind: Literal["ollama", "openai", "llamacpp"]
    healthy: bool
    version: Name | None = None
    error: Text | None = None
    hosts_blobs: bool = False
    """Whether it runs models from the registry's blobs, rather than models it keeps itself."""
    running: Count | None = None
    waiting: Count | None = None
    kv_cache_percent: Measure | None = None
    """What the engine's server itself counts, other clients' requests included; ``None`` where it does not tell."""
    quarantined: Annotated[list[Digest], Meta(max_length=MOST_MODELS)] | None = None
    """Of an engine that is not healthy the versions that take no requests; ``None`` when none of its versions does."""
    restarting: bool = False
    """Whether the node has ended its process because it hung, and starts it again."""


class ModelState(msgspec.Struct, omit_defaults=True):
    """One version on a node.

    ``present``: the engine itself reports it; ``fetching``; ``ready``: its bytes were verified on this node;
    ``loading``; ``loaded``: in memory; ``failed``: ``error`` says why.
    """

    version: Digest
    name: Name
    state: Literal["present", "fetching", "ready", "loading", "loaded", "failed"]
    engine: Literal["ollama", "openai", "llamacpp"]
    size: Count | None = None
    memory: Count | None = None
    vram: Count | None = None
    """The part of ``memory`` that is on GPUs; ``None`` where the engine does not tell."""
    bytes_done: Count | None = None
    error: Text | None = None
    context_length: Count | None = None
    expires_at: Measure | None = None
    expires_in: Measure | None = None
    """Seconds after this was said until it is unloaded, whatever the node's clock says; ``None`` where it stays."""
    bytes_per_second: Measure | None = None
    """How fast its bytes came in the last seconds, while it is ``fetching``."""
    bytes_of_peers: Count | None = None
    """How many of ``bytes_done`` came from other nodes."""
    slots: Few | None = None
    """Requests that this instance runs at once; ``None`` where it is not in memory, or the engine does not tell."""


class Silence(msgspec.Struct, omit_defaults=True):
    """The running request of a node whose engine has been silent for the longest part of what it may be."""

    seconds: Measure
    limit: Measure
    """Seconds after which the node ends it."""
    phase: Phase
    model: Name = ""


class NodeState(msgspec.Struct, omit_defaults=True):
    """A node's telemetry of one second; ``seq`` counts up from the start of its process (``boot``), ``at`` is by its own clock."""

    node: Id
    tenant: Id
    boot: Token
    seq: Count
    at: Time
    agent_version: Word
    engines: Annotated[list[Engine], Meta(max_length=16)]
    capacity: Capacity
    """Requests it runs at once."""
    running: Few
    waiting: Few
    """Claimed by the node or in its inbox, not yet running."""
    tokens_per_second: Measure
    models: Annotated[list[ModelState], Meta(max_length=MOST_MODELS)]
    cpu_percent: Measure
    cpu_count: Few
    memory_used: Count
    memory_total: Count
    disk_used: Count
    disk_total: Count
    network_received_per_second: Measure
    network_sent_per_second: Measure
    gpus: Annotated[list[Gpu], Meta(max_length=256)] = []
    gpu_note: Text | None = None
    """Why ``gpus`` is empty."""
    draining: bool = False
    clock_skew_seconds: Measure | None = None
    """By how much the node's clock is ahead of Redis's. Nothing depends on it; a person wants to know."""
    tokens_total: Count | None = None
    """Generated since the start of its process; ``None`` from an older node."""
    silence: Silence | None = None
    """``None`` when nothing runs, or from an older node."""
    peer: PeerPlace | None = None
    """Where other nodes of its region have bytes of models from it; ``None`` where it lets nobody."""
    models_digest: Annotated[str, Meta(max_length=64)] = ""
    """Another one whenever ``models`` differ in what the registry keeps of them (`models_digest`); empty from an older node."""
    faults: Annotated[list[NodeFault], Meta(max_length=16)] = []
    """Those that chaos experiments may have it suffer, by a setting on its own host; empty where its owner allows none."""
    fault: FaultState | None = None
    """The last one that it was ordered; ``None`` before the first."""


class StateBrief(msgspec.Struct):
    """What a control loop needs of a `NodeState` to see whether anything has changed. A node writes it beside its state; of an older
    one it is read from the JSON of the state, whose fields have the same names."""

    node: Id
    agent_version: Word
    models_digest: Annotated[str, Meta(max_length=64)] = ""
    boot: Annotated[str, Meta(max_length=64)] = ""
    """Names the run of the node's process; empty of an older node."""


class Vitals(msgspec.Struct):
    """What health and history need of a `NodeState`: decoded from the same JSON, with its models as they were written, which are read where
    their digest is new."""

    node: Id
    boot: Token
    seq: Count
    agent_version: Word
    engines: Annotated[list[Engine], Meta(max_length=16)]
    capacity: Capacity
    running: Few
    waiting: Few
    tokens_per_second: Measure
    cpu_percent: Measure
    memory_used: Count
    memory_total: Count
    disk_used: Count
    disk_total: Count
    gpus: Annotated[list[Gpu], Meta(max_length=256)] = []
    draining: bool = False
    clock_skew_seconds: Measure | None = None
    tokens_total: Count | None = None
    silence: Silence | None = None
    models_digest: Annotated[str, Meta(max_length=64)] = ""
    models: msgspec.Raw = msgspec.Raw()


def models_digest(models: list[ModelState], engines: list[Engine]) -> str:
    """Of what the registry keeps: not of what changes by the second, such as when a model will be unloaded."""
    kept = [
        (each.version, each.name, each.state, each.engine, each.size, each.bytes_done, each.error) for each in models
    ]
    hosts = [(each.kind, each.hosts_blobs) for each in engines]
    return hashlib.blake2b(msgspec.msgpack.encode((kept, hosts)), digest_size=12).hexdigest()


class Progress(TypedDict, total=False):
    """One of Ollama's messages on a pull or a creation; what else it says is left out."""

    status: Text
    digest: Name | None
    total: Count | None
    completed: Count | None


class OrderState(msgspec.Struct, omit_defaults=True):
    """How far a node's engine is with what a job ordered of it. ``progress`` are Ollama's messages, each in its last form."""

    state: Literal["running", "done", "failed"]
    at: Time
    progress: Annotated[list[Progress], Meta(max_length=1000)] = []
    error: Text = ""
    code: Token | Literal[""] = ""
    status: Status | Literal[0] = 0


class Counted(msgspec.Struct):
    """What a node notes of a ticket it finished (stream `ollamamax.bus.keys.node_done`)."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    cached_tokens: Tokens | None = None
    """Of the prompt's those that the engine had kept; ``None`` where it does not say."""
