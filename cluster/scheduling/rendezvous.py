"""Rendezvous hashing: gateways that never talk to each other prefer the same nodes for the same prompt.

Each node's weight for a prompt depends on these two only, so a node that comes or goes moves no other's prompts.
Highest random weight, Thaler and Ravishankar 1998.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
"""2 to the 64 by the golden ratio: the upper bits of a product with it depend on all bits of the other factor."""
_SCALE = 1.0 / (1 << 24)


def salt(node: str) -> int:
    """64 bits of a node's id, the same in every process."""
    return int.from_bytes(hashlib.blake2b(node.encode(), digest_size=8).digest())


def spread(number: int) -> int:
    """A number, which may be small, over all of 64 bits (SplitMix64's finalizer)."""
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def distances(prompt: int, salts: Iterable[int]) -> list[float]:
    """Of each node, given by its salt, from 0 (inclusive) to 1: the nearest to a prompt is its home."""
    prompt = spread(prompt)
    return [((((prompt ^ salt) * _ODD) & _MASK) >> 40) * _SCALE for salt in salts]
