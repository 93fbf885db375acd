"""Counts the connections of each address, and ends those that take too long."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import resource
import select
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

SWEEP_SECONDS = 1.0
LOCAL_TIMES = 16
"""So many times the connections of another address has this machine itself: programs beside the server, tests, measurements."""
_OTHER_FILES = 512
"""Files that a process opens besides its connections."""


class Member(Protocol):
    """A connection that is looked at every second."""

    def look(self, now: float) -> None:
        """End, if the client takes too long."""


def has_more(connection: Any) -> bool:
    """Whether bytes of a socket lie in the system that nobody has read yet: closed now, a client would lose a request."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


@functools.lru_cache(4096)
def network(address: str) -> str:
    """Whose address it is: an IPv6 network of 64 bits is one customer's."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False)) if not found.is_loopback else str(found)


@functools.lru_cache(4096)
def is_local(address: str) -> bool:
    """Of this machine. Empty, for a socket that has no addresses, is too."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return not address


def most_connections(wanted: int) -> int:
    """As many as wanted and as this process may have open; it takes the system's hard limit first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return wanted if soft == resource.RLIM_INFINITY else max(64, min(wanted, soft - _OTHER_FILES))


@dataclass
class Connections:
    """One per process. ``free`` are addresses of proxies, which connect for everybody."""

    most: int
    most_of_address: int
    free: Collection[str] = ()
    open: int = 0
    seen: int = 0
    """How many there have been in all."""
    _of: Counter[str] = field(default_factory=Counter)
    _members: set[Member] = field(default_factory=set)
    _sweeping: asyncio.TimerHandle | None = None

    def enter(self, address: str) -> int:
        """Count a new connection. Returns 0, or the status with which it is refused: it is not counted then."""
        self.seen += 1
        if self.open >= self.most:
            return 503
        place = network(address)
        if address not in self.free:
            most = self.most_of_address * (LOCAL_TIMES if is_local(place) else 1)
            if self._of[place] >= most:
                return 429
        self._of[place] += 1
        self.open += 1
        return 0

    def leave(self, address: str) -> None:
        """A connection that was counted is closed."""
        place = network(address)
        self.open -= 1
        self._of[place] -= 1
        if self._of[place] <= 0:
            del self._of[place]

    def watch(self, member: Member) -> None:
        self._members.add(member)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def forget(self, member: Member) -> None:
        self._members.discard(member)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for member in list(self._members):
            member.look(now)
        # Where nobody is connected nothing is to be looked at.
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep) if self._members else None
