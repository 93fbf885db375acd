"""Requests under way, and what each really used."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["ok", "refused", "cancelled", "failed", "gateway_lost", "node_lost"]


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
    idle_only: bool = False
    """It runs on slots that nobody waits for, or not at all: of batches and evaluations."""
    shadow_of: str = ""
    """The request that it runs again on another version, whose answer nobody is shown; empty for one that somebody waits for."""


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
    price: float | None = None
    """What one of the node's slots cost an hour when it was given the request; ``None`` where nobody said."""
    currency: str = ""
    load_ms: float | None = None
    """For how long its engine loaded the model first; ``None`` where it said nothing of that."""


class Route(msgspec.Struct, omit_defaults=True):
    """Why a request ran where it ran: the last ranking, best first, who was ruled out, and every try."""

    strategy: str = ""
    candidates: list[ScoredNode] = []
    ruled_out: dict[str, str] = {}
    """Node's name -> why."""
    attempts: list[AttemptRecord] = []
    waiting: int | None = None
    """How many waited when it joined the queue, itself included; ``None`` when it did not have to wait."""
    cancelled_by: str = ""
    """Who cancelled it by the management API; empty where nobody did."""


class UsageRecord(msgspec.Struct, omit_defaults=True):
    """What one request really used. One for each admitted request, whatever became of it, and for those of a tenant that were refused
    (``refused``: no node was given it), as long as there are not too many of them."""

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
    user: str = ""
    """Whom the request names as its end user; 256 characters of it are kept."""
    cost: float | None = None
    """By the hourly costs of its nodes when it was given to them; ``None`` where one has none. What it is charged by the price list is
    worked out where the records are kept, by the price that counted when it was received."""
    currency: str = ""
    """Of the cost (ISO 4217); empty where the installation names none."""
    status: int = 0
    """The HTTP status with which it ended, also where that could only be told in a stream; 0 where nobody was left to tell."""
    metadata: dict[str, str] = {}
    """What its client wanted noted with it: 16 pairs at most, of 64 and 512 characters."""
    cached_tokens: int | None = None
    """Of the prompt's tokens those that the engine had kept, never more; ``None`` where no engine said."""
    route: Route | None = None
    idle_only: bool = False
    """As of `OpenRequest`."""
    slot_seconds: float | None = None
    """For how long it had a slot, where ``route`` does not say."""
    prompt_kept: bool = False
    """Whether its tenant wanted its prompt kept. Sealed it goes to Postgres by itself, and may be lost on the way."""
    shadow_of: str = ""
    """As of `OpenRequest`."""
    same_answer: bool | None = None
    """Whether it said the same as the request that it runs again; ``None`` where that is left to chance, or was not to be known."""


encode_json = msgspec.json.Encoder().encode
decode_open = msgspec.json.Decoder(OpenRequest).decode


class _Written(UsageRecord, omit_defaults=True):
    """As it is written: release 0.1 reads these records, too, and knows no outcome ``refused``; to it such a request failed."""

    refused: bool = False


_decode_written = msgspec.json.Decoder(_Written).decode
_FIELDS = UsageRecord.__struct_fields__


def encode_usage(record: UsageRecord) -> bytes:
    if record.outcome != "refused":
        return encode_json(record)
    said = {name: getattr(record, name) for name in _FIELDS}
    return encode_json(_Written(**{**said, "outcome": "failed"}, refused=True))


def decode_usage(data: bytes) -> UsageRecord:
    written = _decode_written(data)
    if written.refused:
        written.outcome = "refused"
    return UsageRecord(*[getattr(written, name) for name in _FIELDS])
