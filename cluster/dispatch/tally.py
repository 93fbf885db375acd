"""Counts that gather in memory until they are written to a hash in Redis, with the lease."""

from __future__ import annotations

from collections import Counter

from redis.asyncio.client import Pipeline


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
