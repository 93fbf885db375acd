"""A node's telemetry, and how far it is with what a job ordered of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Gpu(msgspec.Struct, omit_defaults=True):
    """One GPU as its vendor's library reports it; what the library does not tell is ``None``."""

    index: int
    name: str
    load_percent: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    ecc_errors: int | None = None


class Engine(msgspec.Struct, omit_defaults=True):
    """One engine of a node: what it is, and whether it answers."""

    kind: Literal["ollama", "openai", "llamacpp"]
    healthy: bool
    version: str | None = None
    error: str | None = None
    hosts_blobs: bool = False
    """Whether it runs models from the registry's blobs, rather than models it keeps itself."""
    running: int | None = None
    waiting: int | None = None
    kv_cache_percent: float | None = None
    """What the engine's server itself counts, other clients' requests included; ``None`` where it does not tell."""
    quarantined: list[str] | None = None
    """Of an engine that is not healthy the versions that take no requests; ``None`` when none of its versions does."""


class ModelState(msgspec.Struct, omit_defaults=True):
    """One version on a node.

    ``present``: the engine itself reports it; ``fetching``; ``ready``: its bytes were verified on this node;
    ``loading``; ``loaded``: in memory; ``failed``: ``error`` says why.
    """

    version: str
    name: str
    state: Literal["present", "fetching", "ready", "loading", "loaded", "failed"]
    engine: Literal["ollama", "openai", "llamacpp"]
    size: int | None = None
    memory: int | None = None
    vram: int | None = None
    """The part of ``memory`` that is on GPUs; ``None`` where the engine does not tell."""
    bytes_done: int | None = None
    error: str | None = None
    context_length: int | None = None
    expires_at: float | None = None
    expires_in: float | None = None
    """Seconds after this was said until it is unloaded, whatever the node's clock says; ``None`` where it stays."""


class NodeState(msgspec.Struct, omit_defaults=True):
    """A node's telemetry of one second; ``seq`` counts up from the start of its process (``boot``), ``at`` is by its own clock."""

    node: str
    tenant: str
    boot: str
    seq: int
    at: float
    agent_version: str
    engines: list[Engine]
    capacity: int
    """Requests it runs at once."""
    running: int
    waiting: int
    """Claimed by the node or in its inbox, not yet running."""
    tokens_per_second: float
    models: list[ModelState]
    cpu_percent: float
    cpu_count: int
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    network_received_per_second: float
    network_sent_per_second: float
    gpus: list[Gpu] = []
    gpu_note: str | None = None
    """Why ``gpus`` is empty."""
    draining: bool = False
    clock_skew_seconds: float | None = None
    """By how much the node's clock is ahead of Redis's. Nothing depends on it; a person wants to know."""


class OrderState(msgspec.Struct, omit_defaults=True):
    """How far a node's engine is with what a job ordered of it. ``progress`` are Ollama's messages, each in its last form."""

    state: Literal["running", "done", "failed"]
    at: float
    progress: list[dict[str, Any]] = []
    error: str = ""
    code: str = ""
    status: int = 0


decode_node_state = msgspec.json.Decoder(NodeState).decode
decode_order = msgspec.json.Decoder(OrderState).decode
