"""How fast log-ins may be tried: counters that fill with failures and drain with time. Pure.

Per address, so that one password cannot be tried on many users; per account, so that many addresses cannot try one user; per
account from one address, as long as that was never logged in from. An address from which an account was logged in to is
slowed by that pair's own counter alone: whoever attacks an account, or its neighbour behind one address, locks nobody out.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "account",
    "address",
    "audit",
    "factor",
    "invite",
    "leak",
    "mail_to",
    "pair",
    "passkey",
    "reset",
    "reset_to",
    "sso",
    "webhook",
]


@dataclass(frozen=True)
class AttemptPace:
    """``burst`` failures at once, and then one each ``seconds``."""

    burst: int
    seconds: float


PACES: dict[Kind, AttemptPace] = {
    "account": AttemptPace(20, 60.0),
    "address": AttemptPace(20, 15.0),
    "pair": AttemptPace(10, 90.0),
    "factor": AttemptPace(8, 300.0),  # of wrong second factors of one person, whose password was right
    "leak": AttemptPace(60, 1.0),  # of keys that one address reports as leaked
    "passkey": AttemptPace(30, 10.0),  # of passkeys that one address shows and nobody has; none can be guessed
    "reset": AttemptPace(10, 60.0),  # of letters with a link to a new password that one address asks for
    "reset_to": AttemptPace(5, 7200.0),  # of those that one person is sent, whoever asks: 12 a day
    "sso": AttemptPace(
        300, 1.0
    ),  # of ways to an identity provider that one address begins; a company may have one address
    "webhook": AttemptPace(60, 10.0),  # of test events and repeated deliveries that one tenant asks for
    "invite": AttemptPace(200, 60.0),  # of letters with an invitation that one tenant sends
    "mail_to": AttemptPace(5, 3600.0),  # of those that one address is sent, whoever invites it
    "audit": AttemptPace(60, 1.0),  # of audit records about refused log-ins, whatever their number
}
TRUSTED_DAYS = 90
"""How long an address counts as one that an account is logged in to from."""


def drained(level: float, elapsed: float, kind: Kind) -> float:
    """The level of a counter after ``elapsed`` seconds; a clock that went back drains nothing."""
    return max(0.0, level - max(0.0, elapsed) / PACES[kind].seconds)


def wait(level: float, kind: Kind) -> float:
    """Seconds until another attempt is let through; 0 when it is now."""
    pace = PACES[kind]
    return max(0.0, (level + 1 - pace.burst) * pace.seconds)


def lasts(kind: Kind) -> float:
    """Seconds after which a full counter is empty."""
    return PACES[kind].burst * PACES[kind].seconds


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the 64 leading bits of IPv6, of which one host has all the rest."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def account_subject(email: str) -> str:
    """The counter's name of an account, whether there is such a user or not: what people type here may be their password."""
    return hashlib.sha256(email.encode()).hexdigest()


def pair_subject(email: str, network: str) -> str:
    return hashlib.sha256(f"{network}\n{email}".encode()).hexdigest()
