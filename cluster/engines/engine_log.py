"""The last lines that engines of this node wrote, as far as the node itself started them."""

from __future__ import annotations

from ollamamax.kernel.log_ring import LogRing

LINES = LogRing()
