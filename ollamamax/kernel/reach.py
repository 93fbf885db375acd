"""Reach: from where a key may be used, at which routes, for which models. Judged in one place, here; pure, so that every program asks it."""

from __future__ import annotations

import ipaddress
import re
from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec

from ollamamax.kernel.errors import Forbidden, InvalidRequest

MOST_ADDRESSES = 32
MOST_ROUTES = 32
MOST_MODELS = 64
LONGEST_ROUTE = 100
LONGEST_MODEL = 200
_MANAGEMENT = "/api/v1"
"""Below Ollama's ``/api``, and another API: what is said of the one does not count for the other."""
_ROUTE = re.compile(r"/[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)*(/\*)?", re.ASCII)
_MODEL = re.compile(r"[A-Za-z0-9_.\-/*]+(:[A-Za-z0-9_.\-*]+)?", re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reach(msgspec.Struct, frozen=True, omit_defaults=True):
    """Each part that is empty sets no bound.

    ``addresses`` are networks (``10.0.0.0/8``, ``2001:db8::/32``), ``routes`` paths of which those that end in ``/*`` mean all that begin so,
    ``models`` full names in which ``*`` stands for anything.
    """

    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def has_route(self, path: str) -> bool:
        return not self.routes or any(_covers(route, path) for route in self.routes)

    def has_address(self, address: str | None) -> bool:
        """Whether a client's address is within; one that is not known, or is none, is not."""
        return not self.addresses or _is_within(address or "", self.addresses)

    def has_model(self, *names: str) -> bool:
        """Whether one of the ``names`` of a model, full ones (``name:tag``), is within."""
        return not self.models or any(_is_named(name, self.models) for name in names if name)


EVERYWHERE = Reach()


def require_reach(reach: Reach, path: str, address: str | None) -> None:
    """Raises `Forbidden` where the key may not be used so. ``address`` is the client's as the server knows it, behind the proxies that it trusts."""
    if reach is EVERYWHERE or reach == EVERYWHERE:
        return
    if not reach.has_address(address):
        raise Forbidden("This API key may not be used from your address.", reason="address")
    require_route(reach, path)


def require_route(reach: Reach, path: str) -> None:
    """For requests from inside a process, which have no address. Raises `Forbidden`."""
    if not reach.has_route(path):
        raise Forbidden("This API key may not be used for this route.", reason="route")


def checked_reach(addresses: list[str], routes: list[str], models: list[str]) -> Reach:
    """Each in its one spelling, without doubles, in order. Raises `InvalidRequest`, which names the field."""
    for name, given, most in (
        ("addresses", addresses, MOST_ADDRESSES),
        ("routes", routes, MOST_ROUTES),
        ("models", models, MOST_MODELS),
    ):
        if len(given) > most:
            raise InvalidRequest(f"At most {most} {name}.", param=name)
    return Reach(
        tuple(sorted({str(_network(each)) for each in addresses})),
        tuple(sorted({_route(each) for each in routes})),
        tuple(sorted({_model(each) for each in models})),
    )


def _network(text: str) -> Network:
    try:
        found = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise InvalidRequest(
            f"{text[:50]!r} is no network, such as 10.0.0.0/8, and no address.", param="addresses"
        ) from None
    if not found.prefixlen and int(ipaddress.ip_interface(text.strip()).ip):
        # Meant was some address, and written is all there are.
        raise InvalidRequest(f"{text[:50]!r} is every address there is: say 0.0.0.0/0 or ::/0.", param="addresses")
    if isinstance(found, ipaddress.IPv6Network) and (mapped := found.network_address.ipv4_mapped) is not None:
        return ipaddress.IPv4Network((mapped, found.prefixlen - 96))
    return found


def _route(text: str) -> str:
    if len(text) > LONGEST_ROUTE or not _ROUTE.fullmatch(text) or ".." in text:
        raise InvalidRequest(f"{text[:50]!r} is no path, such as /v1/chat/completions or /v1/*.", param="routes")
    return text


def _model(text: str) -> str:
    if len(text) > LONGEST_MODEL or not _MODEL.fullmatch(text):
        raise InvalidRequest(f"{text[:50]!r} is no name of a model, nor a pattern such as llama3:*.", param="models")
    return text if ":" in text or text.endswith("*") else f"{text}:latest"


def _covers(route: str, path: str) -> bool:
    if _is_management(path) and not _is_management(route.removesuffix("/*")):
        return False
    if route.endswith("/*"):
        return path == route[:-2] or path.startswith(route[:-1])
    return path == route


def _is_management(path: str) -> bool:
    return path == _MANAGEMENT or path.startswith(f"{_MANAGEMENT}/")


@lru_cache(maxsize=4096)
def _networks(addresses: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each) for each in addresses)


@lru_cache(maxsize=16384)
def _is_within(address: str, addresses: tuple[str, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found.version == network.version and found in network for network in _networks(addresses))


def _is_named(name: str, patterns: tuple[str, ...]) -> bool:
    # ``name@sha256:...`` is one version, whatever its tag: only who may have every tag may have it.
    base, pinned, _ = name.partition("@")
    full = (f"{base}:" if pinned else name).lower()
    return any(fnmatchcase(full, _literal(pattern)) for pattern in patterns)


@lru_cache(maxsize=4096)
def _literal(pattern: str) -> str:
    return pattern.lower()
