"""How much memory a model takes in llama.cpp, and how much its cache of prompts may take besides."""

from __future__ import annotations

MARGIN = 256 << 20
MOST_CACHE = 8 << 30
"""llama.cpp's own limit, which it would give to each of its processes."""
LEAST_CACHE = 64 << 20
"""A smaller one would hold hardly a prompt."""
SHARE = 10


def needed(size: int) -> int:
    """Bytes for weights of ``size`` bytes, contexts and buffers."""
    return size * 5 // 4 + MARGIN


def cache_share(free: int) -> int:
    """Bytes of ``free`` ones that the cache may take: prompts that had to leave their slot, to be taken up again without reading them."""
    share = min(MOST_CACHE, free // SHARE)
    return share if share >= LEAST_CACHE else 0
