"""Addresses that a program is told to show a secret to: encrypted, or on this machine. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


class AddressRefused(ValueError):
    """One sentence for the person at the keyboard."""


def checked_address(url: str, *, insecure_http: bool) -> str:
    """The URL without its last slash. Raises `AddressRefused` for one that would show a secret to the network."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise AddressRefused(f"{url!r} is not an address: it must start with https:// (or http:// on this machine).")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("An address has no user and no password in it here.")
    if parts.scheme == "http" and not insecure_http and not _is_loopback(host):
        raise AddressRefused(
            f"{url} is not encrypted and not on this machine: use https://, or --insecure-http on a network you trust."
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
