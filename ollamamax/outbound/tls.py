"""Gives bytes to a TLS server that a tenant chose, and learns whether it read them all; addresses are checked as those of `client` are.

TLS keeps the order of what is sent, so a peer's ``close_notify`` in answer to ours says that it read everything before ours.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

from ollamamax.outbound.addresses import OutboundRefused, Rules
from ollamamax.outbound.client import CONNECT_SECONDS, CheckedResolver, OutboundFailed

_PIECE = 16 << 10


def give(
    host: str, port: int, data: bytes, *, rules: Rules, authority: str = "", answered: bool = True, seconds: float
) -> None:
    """Connect, send ``data``, end the connection. ``authority`` (PEM) is trusted instead of the system's authorities.

    ``answered``: the peer must answer the end of the connection; without it nothing says whether what was under way arrived.
    Takes ``seconds`` at most. Raises `OutboundRefused` and `OutboundFailed`.
    """
    ends = time.monotonic() + seconds
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise OutboundFailed("Its authority is no certificate.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with _connected(host, port, rules, ends) as plain:
            plain.settimeout(_left(ends))
            with context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False) as secured:
                for begin in range(0, len(data), _PIECE):
                    secured.settimeout(_left(ends))
                    secured.sendall(data[begin : begin + _PIECE])
                secured.settimeout(_left(ends))
                _end(secured, answered)
    except TimeoutError:
        raise OutboundFailed(f"It did not take everything within {seconds:g} seconds.") from None
    except ssl.SSLCertVerificationError as error:
        raise OutboundFailed(f"Its certificate is not trusted: {error.verify_message}.") from error
    except (OSError, ValueError) as error:
        raise OutboundFailed(f"It could not be reached, or went away: {type(error).__name__}.") from error


def _end(secured: ssl.SSLSocket, answered: bool) -> None:
    try:
        secured.unwrap()
    except (ssl.SSLError, OSError) as error:
        if answered or isinstance(error, TimeoutError | ConnectionResetError):
            raise


def _connected(host: str, port: int, rules: Rules, ends: float) -> socket.socket:
    """To the first of its addresses that lets one in."""

    async def look_up() -> list[tuple[int, str]]:
        async with asyncio.timeout(min(CONNECT_SECONDS, _left(ends))):
            found = await CheckedResolver(rules).resolve(host, port, socket.AF_UNSPEC)
        return [(each["family"], each["host"]) for each in found]

    problem: OSError = OSError(None, "no address")
    for family, address in asyncio.run(look_up()):
        one = socket.socket(family, socket.SOCK_STREAM)
        try:
            one.settimeout(min(CONNECT_SECONDS, _left(ends)))
            one.connect((address, port))
        except OSError as error:
            one.close()
            problem = error
            continue
        return one
    raise problem


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


__all__ = ["OutboundFailed", "OutboundRefused", "give"]
