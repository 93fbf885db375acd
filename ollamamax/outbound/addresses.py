"""Which addresses may be spoken to when a tenant names them: public ones, and those that the operator allows. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_URL = 2000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


class OutboundRefused(Exception):
    """This address may not be spoken to; the text says why, and names nothing that was found out by trying."""


@dataclass(frozen=True)
class Rules:
    """``networks`` are allowed besides public addresses; ``http``: whether an address without TLS is."""

    networks: Sequence[Network] = ()
    http: bool = False


def checked_url(url: str, rules: Rules) -> SplitResult:
    """The parts of an address that may be tried; what its name stands for is checked when it is looked up. Raises `OutboundRefused`."""
    if len(url) > MOST_URL or any(ord(character) <= 32 or ord(character) == 127 for character in url) or "\\" in url:
        raise OutboundRefused("This is no address.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OutboundRefused("This is no address.") from None
    if parts.scheme not in ({"https", "http"} if rules.http else {"https"}):
        raise OutboundRefused("The address must begin with https://.")
    if not parts.hostname or port == 0:
        raise OutboundRefused("The address names no host.")
    if "@" in parts.netloc:
        raise OutboundRefused("The address must not hold a user or a password.")
    if "%" in parts.netloc:
        raise OutboundRefused("The host must be written as it is.")
    try:
        literal = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return parts
    require_allowed(literal, rules)
    return parts


def origin_of(url: str) -> str:
    """The part of an address that may be told: scheme, host and port. What follows is a secret for many a receiver of webhooks."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def require_allowed(address: Address, rules: Rules) -> None:
    """Raises `OutboundRefused` unless every address that ``address`` stands for is public or in a network that is allowed."""
    for meant in _meant(address):
        if not _is_public(meant) and not any(
            meant.version == network.version and meant in network for network in rules.networks
        ):
            raise OutboundRefused("The address is not a public one, and the operator has not allowed it.")


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )


def _meant(address: Address) -> list[Address]:
    """An IPv6 address that carries an IPv4 one ends there: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    carried: list[Address] = []
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if address.teredo is not None:
        carried.extend(address.teredo)
    # The translation prefix is public by itself; what counts is whom it leads to.
    return carried if address in _NAT64 else [address, *carried]
