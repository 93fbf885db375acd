"""How much a node may say to this process. What is too much or makes no sense is counted here and told to the control plane, which cuts the node off.

What a node says in order to work costs it nothing here. States have a budget, and so has what is of no use: messages that cannot be
read, frames of requests that it does not run, gaps and repetitions.

A process that stood still, or was busy with something else, hears at once what was said meanwhile. That is no fault of the node: what
is too much to be read now is passed over, and only what no pause explains is told.
"""

from __future__ import annotations

import time

from cluster.telemetry import ignore
from ollamamax.contract.bounds import MOST_STATE_BYTES
from ollamamax.contract.faults import Fault


class Allowance:
    """So much in a second, and ``burst`` at once."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst, self._left = rate, burst, burst
        self._at = time.monotonic()

    def take(self, amount: float) -> bool:
        """Whether there was so much left."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True


LONGEST_PAUSE = 150
"""Seconds for which this process may have heard nobody. Redis gives up a listener sooner, when it holds too much for it."""


class _Node:
    __slots__ = ("said", "said_bytes", "state_bytes", "states", "useless", "useless_bytes")

    def __init__(self) -> None:
        # A node says once a second how it is; after a pause of its own it may be late, never early.
        self.states = Allowance(3, 20)
        self.state_bytes = Allowance(MOST_STATE_BYTES, 4 * MOST_STATE_BYTES)
        # What cannot have been said at its pace even if all of it waited for us.
        self.said = Allowance(3, 3 * LONGEST_PAUSE)
        self.said_bytes = Allowance(MOST_STATE_BYTES, 64 * MOST_STATE_BYTES)
        self.useless = Allowance(200, 2000)
        self.useless_bytes = Allowance(MOST_STATE_BYTES, 16 * MOST_STATE_BYTES)


class NodeAllowances:
    """Of every node that this process hears."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._faults: dict[str, Fault] = {}

    def state(self, node: str, size: int) -> bool:
        """A state of so many bytes came; whether it is to be read."""
        held = self._of(node)
        if not held.said.take(1) or not held.said_bytes.take(size):
            self._note(node, f"more states than a node may send, the last of {size} bytes", excess=True)
        return held.states.take(1) and held.state_bytes.take(size)

    def useless(
        self, node: str, size: int, reason: str = "frames of no request that it runs", *, count: int = 1
    ) -> None:
        """``count`` frames, of so many bytes, came for nothing."""
        held = self._of(node)
        if not held.useless.take(count) or not held.useless_bytes.take(size):
            self._note(node, f"more useless messages than a node may send: {reason}", excess=True)

    def nonsense(self, node: str, size: int, reason: str) -> None:
        """A message cannot be read."""
        self._note(node, reason, excess=False)
        self.useless(node, size, reason)

    def forget(self, node: str) -> None:
        self._nodes.pop(node, None)
        self._faults.pop(node, None)

    def take_faults(self) -> dict[str, Fault]:
        """Node id to what was wrong since the last call; the worst of each."""
        faults, self._faults = self._faults, {}
        return faults

    def _of(self, node: str) -> _Node:
        held = self._nodes.get(node)
        if held is None:
            held = self._nodes[node] = _Node()
        return held

    def _note(self, node: str, reason: str, *, excess: bool) -> None:
        ignore(node, reason)
        before = self._faults.get(node)
        if before is None or (excess and not before.excess):
            self._faults[node] = Fault(reason, time.time(), excess)
