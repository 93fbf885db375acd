"""What a gateway counts in memory until it is written with the lease: fields of a hash, and the requests that ended, folded by tenant, model and node."""

from __future__ import annotations

from collections import Counter

from redis.asyncio.client import Pipeline

from ollamamax.bus import clock, keys
from ollamamax.contract.measured import Ended, EndedBatch, encode_ended, ended_of, kind_of
from ollamamax.contract.usage import UsageRecord
from ollamamax.kernel.ids import new_id

MOST_KINDS = 20_000
"""Tenants, models and nodes that are told apart while Redis is away: what is more is not counted."""
MOST_BATCHES = 20_000
"""Kept in Redis while nobody takes them: more than an hour of five gateways. Large ones are fewer, so that they take about `MOST_BYTES`."""
MOST_BYTES = 64 << 20
_WRITE = """
if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[1]) then
  redis.call('RPUSH', KEYS[1], ARGV[2])
  redis.call('LTRIM', KEYS[1], -tonumber(ARGV[3]), -1)
  redis.call('SET', KEYS[2], ARGV[1], 'EX', 86400)
end
"""
"""A batch that Redis took without an answer is sent again."""


class Tally:
    """Of one hash, ``name``: how much each of its fields grows by. What is taken and could not be written is put back."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counted: Counter[str] = Counter()

    def add(self, field: str, amount: int = 1) -> None:
        self._counted[field] += amount

    def take(self) -> Counter[str]:
        taken, self._counted = self._counted, Counter()
        return taken

    def put_back(self, taken: Counter[str]) -> None:
        self._counted += taken

    def write(self, pipe: Pipeline, taken: Counter[str]) -> None:
        """Queue the increments in ``pipe``."""
        for field, amount in taken.items():
            pipe.hincrby(self._name, field, amount)


class EndedTally:
    """The requests that ended, written batch by batch, each of them once."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str, str], Ended] = {}
        self._gateway = new_id()
        self._number = 0
        self._unsure: EndedBatch | None = None
        """Of which it is not known whether Redis took it: it stays as it is, with its number, until that is known."""

    def add(self, record: UsageRecord) -> None:
        kind = kind_of(record)
        held = self._ended.get(kind)
        if held is not None:
            held.count(record)
        elif len(self._ended) < MOST_KINDS:
            self._ended[kind] = ended_of(record)

    def fold(self, ended: Ended) -> None:
        """Add counts to those of the same tenant, model and node."""
        kind = (ended.tenant, ended.model, ended.node)
        held = self._ended.get(kind)
        if held is not None:
            held.add(ended)
        elif len(self._ended) < MOST_KINDS:
            self._ended[kind] = ended

    def take(self) -> EndedBatch | None:
        """What is to be written now."""
        taken, self._unsure = self._unsure, None
        if taken is None and self._ended:
            self._number += 1
            taken, self._ended = EndedBatch(clock.now(), list(self._ended.values())), {}
        return taken

    def put_back(self, taken: EndedBatch | None) -> None:
        self._unsure = taken

    def write(self, pipe: Pipeline, taken: EndedBatch | None) -> None:
        """Queue what was counted in ``pipe``."""
        if taken is not None:
            data = encode_ended(taken)
            most = max(1, min(MOST_BATCHES, MOST_BYTES // len(data)))
            pipe.eval(_WRITE, 2, keys.ENDED, keys.ended_number(self._gateway), self._number, data, most)
