"""The control loops: what is done again and again in the control plane, how often, and under which lease. Each context has its own in ``loops.py``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ollamamax.bus.regions import Region


class NotLeading(Exception):
    """Another process leads by now: what this one was about to write is not written."""


class LeaseOf(Enum):
    """Where the lease of a loop is held, so that the loop runs in one process at a time."""

    REDIS = "redis"
    """Of loops that need Redis alone: one lease in each region. They go on while Postgres is away."""
    POSTGRES = "postgres"
    """Of loops that write Postgres. They go on while one region's Redis is away."""
    NOBODY = "nobody"
    """Of loops that may run in several processes at once, because each takes up work by a conditional update."""


@dataclass(frozen=True)
class Leader:
    """What a run of a loop is given. ``fence`` is higher than that of every former leader."""

    region: Region
    fence: int
    check: Callable[[], None]
    """Raises `NotLeading` when another process leads. In a transaction on Postgres, where the lease is there, it also keeps
    anybody else from becoming the leader before the transaction ends."""


Run = Callable[[Leader], Any]


@dataclass(frozen=True)
class Loop:
    """``every``: seconds from one beginning to the next, which comes sooner where it is woken (`wake`), by its name or by ``woken_by``. A loop
    of each region runs once for each, beside each other."""

    name: str
    every: float
    lease: LeaseOf
    each_region: bool
    run: Run
    woken_by: str = ""


LOOPS: dict[str, Loop] = {}
_stops: list[Callable[[], object]] = []
_waiting: dict[str, list[threading.Event]] = {}


def wake(what: str) -> None:
    """What the loops work from that are called ``what``, or are ``woken_by`` it, has changed: those of this process run again without waiting until they
    are due. Loops with one lease are led by one process; in another one it changes nothing, and a loop that is led elsewhere sees it when it is due."""
    for event in _waiting.get(what, ()):
        event.set()


def woken(loop: Loop) -> threading.Event:
    """A new event that is set when the loop is woken."""
    event = threading.Event()
    for what in filter(None, (loop.name, loop.woken_by)):
        _waiting.setdefault(what, []).append(event)
    return event


def wakes_no_more(event: threading.Event) -> None:
    for events in _waiting.values():
        if event in events:
            events.remove(event)


def at_stop(stop: Callable[[], object]) -> None:
    """Have ``stop`` called when the process that runs the loops ends."""
    _stops.append(stop)


def stopped() -> None:
    for stop in _stops:
        stop()


def loop(
    name: str, *, every: float, lease: LeaseOf, each_region: bool = False, woken_by: str = ""
) -> Callable[[Run], Run]:
    """Have a function run for ever by the controllers, every so many seconds. A loop with its lease in Redis is one of each region."""

    def registered(run: Run) -> Run:
        if name in LOOPS and LOOPS[name].run.__module__ != run.__module__:
            raise ValueError(f"There is a loop {name} already.")
        LOOPS[name] = Loop(name, every, lease, each_region or lease is LeaseOf.REDIS, run, woken_by)
        return run

    return registered
