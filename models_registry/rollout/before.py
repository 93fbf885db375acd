"""What the old version answered before a switch, laid out for the gates, since after it both versions do not run at the same time. Pure.

The evidence of `models_registry.rollout.evidence` needs blocks whose sizes do not depend on the answers in them, and each answer in one block at
most. So the old version's answers are dealt out to blocks at the switch, in their order; a block counts when the new version has given its part.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

KEPT = 101
"""Of a kind of node so many of the old version's times are kept, for their median."""
BLOCK = 4
"""Answers of the new version in a block, and at least so many of the old one."""
MOST_TIMES = 5
"""A block has at most so many times as many answers of the old version as of the new one."""


class MeasuredBefore(msgspec.Struct):
    """Of one gate and one kind of node. ``blocks``: answers of the old version, and how many of them were bad, that no block was compared with yet."""

    blocks: list[tuple[int, int]] = []
    middle: float | None = None
    """Of times, the median: what is above it is bad. ``None`` of failures, which are bad or not by themselves."""
    learned: tuple[int, int] = (0, 0)
    """Answers that lie in no block, and how many of them were bad: the rate that is expected of the first block."""


def dealt(values: Sequence[float], requests: int, *, times: bool) -> MeasuredBefore:
    """The old version's ``values`` in the order of their requests: milliseconds, or 0 and 1 for failures.

    ``requests``: answers of the new version that the hold time waits for. As long as those come, a block has more of the old version's answers, as
    far as there are enough; the others have as many of both, so that the comparison goes on for as long as it can.
    """
    kept = min(KEPT, len(values) // 3)
    learned, left = sorted(values[:kept]), list(values[kept:])
    middle = learned[kept // 2] if times and learned else None
    if times and middle is None:
        return MeasuredBefore()
    bad = [value > middle if middle is not None else value > 0 for value in left]
    first = -(-requests // BLOCK)
    size = BLOCK * max(1, min(MOST_TIMES, len(bad) // (first * BLOCK) if first else 1))
    found = MeasuredBefore(middle=middle)
    if middle is None:
        found.learned = (kept, round(sum(learned)))
    at = 0
    while len(bad) - at >= (now := size if len(found.blocks) < first else BLOCK):
        found.blocks.append((now, sum(bad[at : at + now])))
        at += now
    return found
