"""Rendezvous hashing: gateways that never talk to each other prefer the same nodes for the same prompt.

Each node's weight for a prompt depends on these two only, so a node that comes or goes moves no other's prompts.
Highest random weight, Thaler and Ravishankar 1998.
"""

from __future__ import annotations

import hashlib

_MASK = (1 << 64) - 1
_BITS = 1 << 24


def salt(node: str) -> int:
    """64 bits of a node's id, the same in every process."""
    return int.from_bytes(hashlib.blake2b(node.encode(), digest_size=8).digest())


def distance(prompt: int, salt: int) -> float:
    """From 0 (inclusive) to 1: the node that is nearest to a prompt is its home."""
    # The finalizer of SplitMix64, which spreads every bit of its input over all of its output.
    mixed = (prompt ^ salt) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed >> 40) / _BITS
