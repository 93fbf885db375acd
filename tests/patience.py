"""How long tests wait: for a condition long, since only a failure takes all of it; for a promised time a little longer than promised."""

from __future__ import annotations

LONG = 90.0
"""Seconds in which a condition must have come true."""
BUSY = 3.0
"""Seconds that a machine with more tests at once than cores may add to what the product promises."""
