"""What is kept of the fleet's past: entries of one series, packed one after the other, and how they become fewer.

A series is a node with its GPUs, a model, or a tenant. Gauges are averages over a step, counts are sums; times to first token are kept as
counts by bucket, so that percentiles over any time are those of all its requests.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from ollamamax.contract.measured import Ended, few

FINEST = 10
"""Seconds of a step as it is measured; `MINUTE` and `HOUR` are what it is folded to."""
MINUTE = 60
HOUR = 3600
DAY = 86_400

NODE_GAUGES = ("running", "waiting", "capacity", "tokens_per_second", "cpu_percent", "memory_percent")
GPU_GAUGES = ("load_percent", "memory_percent", "temperature_celsius", "power_watts")
TENANT_GAUGES = ("nodes", "capacity", "running", "queued", "tokens_per_second")
SCALE = 10
"""Gauges are kept as whole numbers of tenths."""
MOST_CARDS = 64
"""GPUs of a node of which the past is kept: the largest hosts have 16, and 56 where each is parted in seven."""
_COMPRESSED = 0xFF
"""The first byte of compressed entries: no length begins with it."""
_MOST_ENTRY = 0xFEFF


class Gauges(msgspec.Struct, array_like=True, tag="g"):
    """``at``: Unix seconds of the step's beginning. Values in the order of the series' gauges, in tenths; ``None``: not measured.
    ``weight``: how many of the finest steps they are an average of."""

    at: int
    values: list[int | None]
    gpus: list[list[int | None]] = []
    weight: int = 1


class CountedStep(msgspec.Struct, array_like=True, tag="r"):
    """Requests that ended in a step. Written several times for one step, they add up."""

    at: int
    ok: int
    cancelled: int
    refused: int
    errors: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    first_tokens: dict[int, int]
    busy_ms: int = 0
    """As `Ended` has these four; 0 and empty of what the release before wrote."""
    started: int = 0
    waits: dict[int, int] = {}
    prefills: dict[int, int] = {}


Entry: TypeAlias = Gauges | CountedStep
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def tenths(value: float | None, least: float, most: float) -> int | None:
    """A measured value as it is kept. What is no number, or is none that such a thing can have, was not measured."""
    if value is None or not least <= value <= most:
        return None
    return round(value * SCALE)


def counted(at: int, ended: Ended) -> CountedStep:
    return CountedStep(
        at,
        ended.ok,
        ended.cancelled,
        ended.refused,
        ended.errors,
        ended.prompt_tokens,
        ended.completion_tokens,
        ended.first_tokens,
        ended.busy_ms,
        ended.started,
        ended.waits,
        ended.prefills,
    )


def encode_entry(entry: Entry) -> bytes:
    """As it is appended to a series; nothing for one that is too large to be true."""
    try:
        data = _encode(entry)
    except OverflowError:
        return b""
    return len(data).to_bytes(2, "big") + data if len(data) <= _MOST_ENTRY else b""


def pack(entries: Iterable[Entry]) -> bytes:
    """Many of them, compressed."""
    return bytes([_COMPRESSED]) + zlib.compress(b"".join(map(encode_entry, entries)), 6)


def unpack(data: bytes) -> list[Entry]:
    """What was packed, or appended one by one, also to what was packed. Of what was cut off, or written by another version, the rest is
    left out."""
    if data[:1] == bytes([_COMPRESSED]):
        unpacking = zlib.decompressobj()
        try:
            data = unpacking.decompress(data[1:]) + unpacking.unused_data
        except zlib.error:
            return []
    found: list[Entry] = []
    place = 0
    while place + 2 <= len(data):
        length = int.from_bytes(data[place : place + 2], "big")
        part = data[place + 2 : place + 2 + length]
        place += 2 + length
        if len(part) == length:
            try:
                found.append(_decode(part))
            except msgspec.MsgspecError:
                continue
    return found


def fold(entries: Iterable[Entry], step: int) -> list[Entry]:
    """The same in steps of so many seconds, in their order: folded twice, or in any order, it is the same."""
    gauges: dict[int, list[Gauges]] = {}
    counts: dict[int, CountedStep] = {}
    for entry in entries:
        at = entry.at - entry.at % step
        if isinstance(entry, Gauges):
            gauges.setdefault(at, []).append(entry)
            continue
        held = counts.get(at)
        if held is None:
            counts[at] = msgspec.structs.replace(
                entry,
                at=at,
                errors=dict(entry.errors),
                first_tokens=dict(entry.first_tokens),
                waits=dict(entry.waits),
                prefills=dict(entry.prefills),
            )
        else:
            _add(held, entry)
    means: list[Entry] = [_mean(at, each) for at, each in gauges.items()]
    return sorted([*means, *counts.values()], key=lambda each: (each.at, isinstance(each, CountedStep)))


def _add(held: CountedStep, entry: CountedStep) -> None:
    held.ok += entry.ok
    held.cancelled += entry.cancelled
    held.refused += entry.refused
    held.prompt_tokens += entry.prompt_tokens
    held.completion_tokens += entry.completion_tokens
    held.errors = few(held.errors, entry.errors)
    held.busy_ms += entry.busy_ms
    held.started += entry.started
    pairs = (
        (held.first_tokens, entry.first_tokens),
        (held.waits, entry.waits),
        (held.prefills, entry.prefills),
    )
    for counts, more in pairs:
        for number, count in more.items():
            counts[number] = counts.get(number, 0) + count


def _mean(at: int, found: Sequence[Gauges]) -> Gauges:
    if len(found) == 1:
        return msgspec.structs.replace(found[0], at=at)
    weights = [each.weight for each in found]
    gpus = [
        _means([each.gpus[index] if index < len(each.gpus) else [] for each in found], weights)
        for index in range(max(len(each.gpus) for each in found))
    ]
    return Gauges(at, _means([each.values for each in found], weights), gpus, sum(weights))


def _means(rows: Sequence[Sequence[int | None]], weights: Sequence[int]) -> list[int | None]:
    found: list[int | None] = []
    for column in range(max(map(len, rows))):
        known = [
            (row[column], weight)
            for row, weight in zip(rows, weights, strict=True)
            if column < len(row) and row[column] is not None
        ]
        total = sum(weight for _, weight in known)
        found.append(round(sum((value or 0) * weight for value, weight in known) / total) if total else None)
    return found
