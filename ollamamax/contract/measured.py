"""What gateways count of the requests that ended, folded by tenant, model and node: what health and history are made of.

Durations of first tokens are counted in buckets of a fixed width, so that those of several gateways, nodes and minutes add up, and
percentiles of the sum are as true as those of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from ollamamax.contract.usage import UsageRecord

MOST_CODES = 32
"""Kinds of errors that are told apart for one tenant, model and node; the rest is `OTHER`: codes come from nodes too."""
OTHER = "other"
PER_DOUBLING = 4
"""Buckets from one duration to twice as long: each is 19 % wide."""
MOST_BUCKET = 100
"""The last one holds all that took longer than 2^(100/4) ms, nine hours."""

MOST_SPEED = 1e7
"""Tokens a second of one node: no engine writes that many. One that says so would hide what the others write."""


def bucket(milliseconds: float) -> int:
    """The bucket of a duration. Anything that is no duration counts as none at all: bucket 0."""
    if not milliseconds > 1.0:
        return 0
    if milliseconds >= 2.0 ** (MOST_BUCKET / PER_DOUBLING):
        return MOST_BUCKET
    return min(MOST_BUCKET, int(math.log2(milliseconds) * PER_DOUBLING) + 1)


def upper(number: int) -> float:
    """The longest duration of a bucket, in milliseconds."""
    return float(2.0 ** (number / PER_DOUBLING))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The duration, in milliseconds, that so large a share of the counted ones did not exceed; ``None`` where nothing was counted.

    Within its bucket it lies where it would if those in the bucket were spread evenly.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    wanted, before = share * total, 0
    for number in sorted(counts):
        count = counts[number]
        if before + count >= wanted:
            low = upper(number - 1) if number > 0 else 0.0
            return low + (upper(number) - low) * max(0.0, wanted - before) / count
        before += count
    return upper(max(counts))


class Ended(msgspec.Struct, array_like=True):
    """Requests of one tenant and model on one node that ended; the node is empty for those that no node was given."""

    tenant: str
    model: str
    node: str
    ok: int = 0
    cancelled: int = 0
    refused: int = 0
    errors: dict[str, int] = {}
    """Of those that failed, by the error's code."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_tokens: dict[int, int] = {}
    """Bucket of the time to first token -> how many."""
    written_tokens: int = 0
    """Tokens after the first ones, and ``written_ms``, the time that they took: what one stream gets."""
    written_ms: float = 0.0
    busy_ms: int = 0
    """For how long they ran in their nodes' slots, together; ``started`` of them are known to have run."""
    started: int = 0
    waits: dict[int, int] = {}
    """Bucket of the time that they waited for a slot -> how many."""
    prefills: dict[int, int] = {}
    """Bucket of the time from there to the first token -> how many."""

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def requests(self) -> int:
        """Refused ones are not among them, which no node was given."""
        return self.ok + self.cancelled + self.failed

    def count(self, record: UsageRecord) -> None:
        """One request more, of this kind."""
        self.prompt_tokens += record.prompt_tokens
        self.completion_tokens += record.completion_tokens
        if record.outcome == "ok":
            self.ok += 1
        elif record.outcome == "refused":
            self.refused += 1
        elif record.outcome == "cancelled":
            self.cancelled += 1
        else:
            self.errors = few(self.errors, {record.error or record.outcome: 1})
        # How long requests wait and hold slots is counted for autoscaling. What takes idle slots alone would fill every replica that came for it.
        if record.queue_ms is not None and not record.idle_only:
            self.started += 1
            self.busy_ms += round(max(0.0, record.duration_ms - record.queue_ms))
            self.waits = _added(self.waits, {bucket(record.queue_ms): 1})
            if record.first_token_ms is not None:
                self.prefills = _added(self.prefills, {bucket(record.first_token_ms - record.queue_ms): 1})
        if record.first_token_ms is not None:
            self.first_tokens = _added(self.first_tokens, {bucket(record.first_token_ms): 1})
            if record.outcome == "ok" and record.completion_tokens > 1:
                self.written_tokens += record.completion_tokens - 1
                self.written_ms += max(0.0, record.duration_ms - record.first_token_ms)

    def add(self, other: Ended) -> None:
        self.ok += other.ok
        self.cancelled += other.cancelled
        self.refused += other.refused
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.written_tokens += other.written_tokens
        self.written_ms += other.written_ms
        self.errors = few(self.errors, other.errors)
        self.busy_ms += other.busy_ms
        self.started += other.started
        self.first_tokens = _added(self.first_tokens, other.first_tokens)
        self.waits = _added(self.waits, other.waits)
        self.prefills = _added(self.prefills, other.prefills)


def _added(first: dict[int, int], second: dict[int, int]) -> dict[int, int]:
    """The sum of two counts by bucket, which stay as they are."""
    if not second:
        return first
    found = dict(first)
    for number, count in second.items():
        found[number] = found.get(number, 0) + count
    return found


def ended_of(record: UsageRecord) -> Ended:
    """One request as its record says. What was refused before a version was found counts for no model: its name is what a client wrote."""
    ended = Ended(*kind_of(record))
    ended.count(record)
    return ended


def kind_of(record: UsageRecord) -> tuple[str, str, str]:
    """Its tenant, model and node."""
    return record.tenant, record.model if record.version else "", record.node


def few(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """The sum of two counts of errors by code, in which at most `MOST_CODES` are told apart: those of which there are most."""
    if not second:
        return first
    found = dict(first)
    for code, count in second.items():
        found[code] = found.get(code, 0) + count
    rest = sum(found.values())
    if len(found) <= MOST_CODES:
        return found
    kept = sorted((each for each in found.items() if each[0] != OTHER), key=lambda each: (-each[1], each[0]))
    most = dict(kept[: MOST_CODES - 1])
    return {**most, OTHER: rest - sum(most.values())}


class EndedBatch(msgspec.Struct, array_like=True):
    """What one gateway counted in about a second; ``at`` in Unix seconds, by Redis's clock."""

    at: float
    ended: list[Ended]


encode_ended = msgspec.msgpack.Encoder().encode
decode_ended = msgspec.msgpack.Decoder(EndedBatch).decode
