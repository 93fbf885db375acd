"""Counts the requests that ended, folded by tenant, model and node, until they are written with the lease."""

from __future__ import annotations

import time

from redis.asyncio.client import Pipeline

from ollamamax.bus import keys
from ollamamax.contract.measured import Ended, EndedBatch, encode_ended, ended_of
from ollamamax.contract.usage import UsageRecord

MOST_KINDS = 20_000
"""Tenants, models and nodes that are told apart while Redis is away: what is more is not counted."""
MOST_BATCHES = 20_000
"""Kept in Redis while nobody takes them: more than an hour of five gateways."""


class EndedTally:
    def __init__(self) -> None:
        self._ended: dict[tuple[str, str, str], Ended] = {}

    def add(self, record: UsageRecord) -> None:
        self._fold(ended_of(record))

    def take(self) -> list[Ended]:
        taken, self._ended = list(self._ended.values()), {}
        return taken

    def put_back(self, taken: list[Ended]) -> None:
        for ended in taken:
            self._fold(ended)

    def write(self, pipe: Pipeline, taken: list[Ended]) -> None:
        """Queue what was counted in ``pipe``."""
        if taken:
            pipe.rpush(keys.ENDED, encode_ended(EndedBatch(time.time(), taken)))
            pipe.ltrim(keys.ENDED, -MOST_BATCHES, -1)

    def _fold(self, ended: Ended) -> None:
        kind = (ended.tenant, ended.model, ended.node)
        held = self._ended.get(kind)
        if held is not None:
            held.add(ended)
        elif len(self._ended) < MOST_KINDS:
            self._ended[kind] = ended
