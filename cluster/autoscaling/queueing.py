"""How many replicas keep requests from waiting too long: the queue M/M/c of Erlang, with as many servers as the replicas have slots.

A load is in erlangs: seconds of running requests in each second. Times in seconds.
"""

from __future__ import annotations

import math

MOST_SERVERS = 100_000
"""A load beyond what so many slots carry is no measurement."""


def waiting_share(load: float, servers: int) -> float:
    """Erlang's C: the share of requests that wait at all; 1 where the servers cannot carry the load."""
    if load <= 0:
        return 0.0
    if servers <= load:
        return 1.0
    # Erlang's B by its recursion, which neither overflows nor loses digits; C follows from it.
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def late_share(load: float, servers: int, service: float, wait: float) -> float:
    """The share of requests that wait longer than ``wait``. ``service``: how long one runs, in the mean."""
    waits = waiting_share(load, servers)
    if servers <= load or service <= 0:
        return waits
    return waits * math.exp(-(servers - load) * max(0.0, wait) / service)


def replicas_for(load: float, *, slots: float, service: float, wait: float, late: float) -> int:
    """The fewest replicas with which at most the share ``late`` waits longer than ``wait``. Never less for a higher load or a shorter wait.

    ``slots``: of one replica, in the mean. 0 for no load.
    """
    if load <= 0:
        return 0
    load = min(load, MOST_SERVERS / 2)
    slots = max(1.0, slots)
    found = max(1, math.ceil(load / slots))
    while late_share(load, int(found * slots), service, wait) > late:
        found += 1
    return found
