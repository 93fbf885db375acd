"""What travels between gateway, node and control plane. No Django here: nodes import it.

Encoding: MessagePack for tickets and frames, JSON for states and usage records (people read those).
Times are Unix seconds (float), durations milliseconds (float), sizes bytes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["chat", "completion", "embed", "rerank", "show", "count"]
FinishReason = Literal["stop", "length", "tool_calls", "load", "unload"]
Delivery = Literal["stream", "whole", "once"]
Outcome = Literal["ok", "cancelled", "failed", "gateway_lost", "node_lost"]


class Options(msgspec.Struct, omit_defaults=True):
    """Sampling and load options in one vocabulary; ``None`` means the engine's own default."""

    max_tokens: int | None = None
    """-1: as many as the model makes, whatever the version's own default says."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: list[str] = []
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    num_ctx: int | None = None


class Inference(msgspec.Struct, omit_defaults=True):
    """One request in the engines' common form.

    ``messages`` are OpenAI chat messages (dicts with ``role``, ``content``, perhaps ``tool_calls`` and
    ``tool_call_id``; images as ``image_url`` parts). ``prompt`` is for ``completion`` (no chat template
    applied); ``inputs`` for ``embed``; ``rerank`` has its query in ``prompt`` and its documents in ``inputs``. ``format`` is ``"json"`` or a JSON schema. ``think`` is passed on
    where the engine knows it. ``keep_alive`` is in seconds, negative for ever; nodes obey their own tenant's. A ``chat`` without messages and a
    ``completion`` without a prompt load the model, or unload it when ``keep_alive`` is 0. ``show`` asks what the
    engine knows of the model, ``count`` for the number of tokens that the messages and tools are.
    """

    kind: Kind
    messages: list[dict[str, Any]] = []
    prompt: str = ""
    suffix: str | None = None
    inputs: list[str] = []
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    """Whether the model may call several tools at once; ``None`` is the engine's own habit."""
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: float | None = None
    options: Options = msgspec.field(default_factory=Options)
    logprobs: bool = False
    top_logprobs: int = 0
    """How many alternatives to each token, with ``logprobs``."""
    dimensions: int | None = None
    truncate: bool | None = None
    """Whether ``embed`` shortens inputs that are too long; ``None`` is the engine's own habit."""
    verbose: bool = False
    """Whether ``show`` tells long arrays too, such as all tokens."""
    continued: str = ""
    """What was answered before, by another node: the answer goes on from there. In a ``completion`` the prompt ends in it."""
    continued_tokens: int = 0
    """How many tokens that was; engines leave them out of `Final.prompt_tokens`."""
    delivery: Delivery = "stream"
    """``whole``: the client reads nothing before the end, so that output may gather. ``once``: it is short besides, and may
    be had from the engine in one piece, which costs engine and node less; broken off, nothing is known of it."""


class Load(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model's profile fixes of every loaded instance; ``None`` is the engine's own default."""

    num_ctx: int | None = None
    num_gpu: int | None = None


NOTHING_FIXED = Load()


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


class Started(msgspec.Struct, tag="s", array_like=True, omit_defaults=True):
    """The node began to run the ticket; always the first event. ``loaded``: the model was in memory by then, with
    ``context`` tokens of it, as far as the engine tells. ``keep_alive_ignored``: the node left the ticket's out."""

    started_at: float
    loaded: bool = True
    context: int | None = None
    keep_alive_ignored: bool = False


class Delta(msgspec.Struct, tag="d", array_like=True, omit_defaults=True):
    """Output since the last delta. ``tool_calls`` are complete OpenAI tool calls; ``tokens`` counts generated ones.

    ``logprobs`` has one entry for each token: ``token``, ``logprob``, ``bytes``, ``top_logprobs`` (the same again).
    """

    text: str = ""
    thinking: str = ""
    tokens: int = 0
    tool_calls: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []


def joined(deltas: list[Delta]) -> Delta:
    """The output of all, as one."""
    if len(deltas) == 1:
        return deltas[0]
    return Delta(
        "".join([each.text for each in deltas]),
        "".join([each.thinking for each in deltas]),
        sum([each.tokens for each in deltas]),
        [call for each in deltas for call in each.tool_calls],
        [entry for each in deltas for entry in each.logprobs],
    )


class Final(msgspec.Struct, tag="f", array_like=True, omit_defaults=True):
    """The end of a request, with the engine's own counts and times (milliseconds)."""

    finish_reason: FinishReason = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    load_ms: float = 0.0
    prompt_ms: float = 0.0
    eval_ms: float = 0.0
    total_ms: float = 0.0
    embeddings: list[list[float]] = []
    info: dict[str, Any] = {}
    """For ``show``: ``template``, ``license``, ``parameters``, ``details``, ``model_info``, ``capabilities``, as far as known."""
    counted: int = 0
    """For ``count``: the tokens. None of them was used."""
    continued: int = 0
    """How many times another node went on with the answer."""
    scores: list[float] = []
    """For ``rerank``: how relevant each document is, in the order they came; the scale is the model's own."""
    keep_alive_ignored: bool = False
    """As in `Started`: all that is heard of it when another node went on with the answer."""


class Failure(msgspec.Struct, tag="e", array_like=True, omit_defaults=True):
    """The request failed on the node; ``code`` and ``status`` as in `ollamamax.kernel.errors`."""

    code: str
    message: str
    status: int = 502
    param: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """What the engine had counted by then, also when the request was cancelled."""


Event = Started | Delta | Final | Failure


LOST = 1 << 31
"""`Frame.seq` of the end of a ticket that a node's former process held: a gap to every reader, whose ``resend`` is
answered with a `Failure` numbered as asked. A node answers so for every ticket it does not know."""


class Frame(msgspec.Struct, array_like=True):
    """Events of one ticket; ``seq`` numbers the first of them, counting from 0, so a gap is seen."""

    ticket: str
    seq: int
    events: list[Event]


Verb = Literal["cancel", "resend", "pause", "resume"]


class Control(msgspec.Struct, array_like=True):
    """To a node: ``cancel`` a ticket, ``resend`` its events from number ``seq`` on, ``pause`` its engine or let it ``resume``."""

    verb: Verb
    ticket: str
    gateway: str = ""
    seq: int = 0


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


class NodeState(msgspec.Struct, omit_defaults=True):
    """A node's telemetry of one second; ``seq`` counts up from the start of its process (``boot``)."""

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


class OrderState(msgspec.Struct, omit_defaults=True):
    """How far a node's engine is with what a job ordered of it. ``progress`` are Ollama's messages, each in its last form."""

    state: Literal["running", "done", "failed"]
    at: float
    progress: list[dict[str, Any]] = []
    error: str = ""
    code: str = ""
    status: int = 0


class OpenRequest(msgspec.Struct, omit_defaults=True):
    """A request that a node has, kept in Redis until it is settled; or one that waits, which has no node yet."""

    request: str
    gateway: str
    tenant: str
    key: str
    model: str
    version: str
    api: str
    """The route, for example ``/v1/chat/completions``."""
    trace: str
    received_at: float
    admitted_at: float
    """When it was let in: to a slot, or to its place in the queue."""
    attempt: int = 1
    priority: Literal["high", "normal", "low"] = "normal"
    node: str = ""
    node_name: str = ""
    given_at: float = 0.0
    """When the node was given it."""


class ScoredNode(msgspec.Struct):
    """A candidate, with the parts that its score is made of, and the one that put it before the next."""

    node: str
    node_name: str
    reason: str
    score: float
    parts: dict[str, float]


class AttemptRecord(msgspec.Struct, omit_defaults=True):
    """One try on one node. ``reason`` is the part of the score that decided; ``error`` the code of what ended the try."""

    node: str
    node_name: str
    reason: str
    given_at: float
    started_at: float | None = None
    error: str = ""


class Route(msgspec.Struct, omit_defaults=True):
    """Why a request ran where it ran: the last ranking, best first, who was ruled out, and every try."""

    strategy: str = ""
    candidates: list[ScoredNode] = []
    ruled_out: dict[str, str] = {}
    """Node's name -> why."""
    attempts: list[AttemptRecord] = []
    waiting: int | None = None
    """How many waited when it joined the queue, itself included; ``None`` when it did not have to wait."""


class UsageRecord(msgspec.Struct, omit_defaults=True):
    """What one request really used. One for each admitted request, whatever became of it."""

    request: str
    tenant: str
    key: str
    model: str
    version: str
    node: str
    node_name: str
    api: str
    trace: str
    received_at: float
    prompt_tokens: int
    completion_tokens: int
    queue_ms: float | None
    """From admission until the node began to run it, waiting included; ``None`` when it never began."""
    first_token_ms: float | None
    """From receipt until the first token came; ``None`` when none did, or all came at once with the end."""
    duration_ms: float
    outcome: Outcome
    error: str = ""
    """The error's code, when the outcome is not ``ok``."""
    attempts: int = 1
    priority: Literal["high", "normal", "low"] = "normal"
    route: Route | None = None


encode_ticket = msgspec.msgpack.Encoder().encode
decode_ticket = msgspec.msgpack.Decoder(Ticket).decode
encode_frames = msgspec.msgpack.Encoder().encode
decode_frames = msgspec.msgpack.Decoder(list[Frame]).decode
encode_control = msgspec.msgpack.Encoder().encode
decode_control = msgspec.msgpack.Decoder(Control).decode
encode_json = msgspec.json.Encoder().encode
decode_node_state = msgspec.json.Decoder(NodeState).decode
decode_order = msgspec.json.Decoder(OrderState).decode
decode_open = msgspec.json.Decoder(OpenRequest).decode
decode_usage = msgspec.json.Decoder(UsageRecord).decode
