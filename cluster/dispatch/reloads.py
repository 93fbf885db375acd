"""Reloads that normalised load options avoided, counted in memory until they are written with the lease."""

from __future__ import annotations

from collections import Counter

from redis.asyncio.client import Pipeline

from ollamamax.bus import keys


class ReloadsAvoided:
    """By `keys.named` model. What is taken and could not be written is put back."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()

    def add(self, tenant: str, model: str) -> None:
        self._counted[keys.named(tenant, model)] += 1

    def take(self) -> Counter[str]:
        taken, self._counted = self._counted, Counter()
        return taken

    def put_back(self, taken: Counter[str]) -> None:
        self._counted += taken


def write(pipe: Pipeline, taken: Counter[str]) -> None:
    """Queue the increments in ``pipe``."""
    for field, count in taken.items():
        pipe.hincrby(keys.RELOADS_AVOIDED, field, count)
