"""Tickets with which a node asks another one for bytes: sealed by the control plane for the node that gives. Standard library and msgspec only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from ollamamax.contract.peers import PeerTicket

LIFE_SECONDS = 600.0
CLOCKS_SECONDS = 120.0
"""By how much the clock of a node that gives may be behind."""
MOST_TICKET = 1024
_decode = msgspec.json.Decoder(PeerTicket).decode


class TicketRefused(Exception):
    """It is no ticket for this, or not any more."""


def seal(key: bytes, ticket: PeerTicket) -> str:
    """``key`` is that of the node that gives."""
    body = msgspec.json.encode(ticket)
    return base64.urlsafe_b64encode(_mac(key, body) + body).decode()


def check(key: bytes, text: str, *, asking: str, giving: str, digest: str, now: float) -> None:
    """Raises `TicketRefused` for whatever does not let ``asking`` have ``digest`` of ``giving`` now."""
    if len(text) > MOST_TICKET:
        raise TicketRefused("too long")
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii"))
    except (binascii.Error, ValueError):
        raise TicketRefused("no ticket") from None
    sealed, body = raw[:32], raw[32:]
    if not hmac.compare_digest(sealed, _mac(key, body)):
        raise TicketRefused("not sealed by the control plane")
    try:
        ticket = _decode(body)
    except msgspec.DecodeError:
        raise TicketRefused("no ticket") from None
    if (ticket.asking, ticket.giving, ticket.digest) != (asking, giving, digest):
        raise TicketRefused("for something else")
    if now > ticket.until + CLOCKS_SECONDS:
        raise TicketRefused("over")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"ollamamax peer ticket\0" + body, hashlib.sha256).digest()
