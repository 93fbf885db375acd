"""Leave to take bytes: what keeps all nodes of a region together within the speed that the tenant's terms allow.

One count for each tenant and region, in the region's Redis, so that every web process gives from the same.
"""

from __future__ import annotations

from pathlib import Path

from redis.exceptions import RedisError

from ollamamax.bus import keys, regions
from ollamamax.contract.peers import TransferLeave
from ollamamax.kernel.errors import Unavailable

AHEAD_SECONDS = 2.0
"""Leave is given so far ahead: a node that dies with it costs the others no more."""
LONGEST_WAIT = 5.0
"""Seconds after which a node that got no leave asks again."""
_LEAVE = Path(__file__).with_suffix(".lua").read_text()


def leave_of_region(tenant: str, region: str, node: str, count: int, rate: int) -> TransferLeave:
    """``count`` bytes for the node, of ``rate`` a second for all nodes of the tenant in the region. Who asks more often than it was told gets no more.

    Raises `Unavailable` without Redis. Blocks.
    """
    there = next((each for each in regions.every() if each.name == region), regions.own())
    try:
        given, wait = there.client.register_script(_LEAVE)(
            keys=[keys.transfers_of_region(tenant, region), *keys.waiting_transfers(tenant, region)],
            args=[count, rate, AHEAD_SECONDS, node, LONGEST_WAIT],
        )
    except RedisError as error:
        raise Unavailable("The region's Redis does not answer.") from error
    return TransferLeave(int(given), min(LONGEST_WAIT, float(wait)))
