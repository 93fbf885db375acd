"""How late an event loop is: a timer that looks at the clock when it is called."""

from __future__ import annotations

import asyncio

from ollamamax.observability.instruments import histogram

EVERY = 0.5
_LAG = histogram("ollamamax_event_loop_lag_seconds")


async def measure_for_ever() -> None:
    """Observe the running loop's lag until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        _LAG.observe(max(0.0, loop.time() - due))
