"""Sends one request to an address that a tenant chose: to none but allowed ones, whatever its name says when it is asked again.

The name is looked up once; each address found is checked, and the connection goes to that very address. Redirects are not followed,
nothing of the environment (proxies, `.netrc`) or of former answers (cookies) is used, and size and time are bounded.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ollamamax.outbound.addresses import Rules, checked_url, require_allowed
from ollamamax.outbound.names import addresses_of

SECONDS = 10.0
CONNECT_SECONDS = 5.0
MOST_ANSWER = 64 << 10


class OutboundFailed(Exception):
    """It was tried and did not work: no such name, no connection, no TLS, no answer in time, or one that is too long."""


@dataclass(frozen=True)
class OutboundAnswer:
    """``body`` as it was sent; it is not decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class CheckedResolver(AbstractResolver):
    """Looks a name up and lets the connection have checked addresses only. A name with one that is not allowed is refused whole."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `OutboundRefused`, and `OSError` for a name that nobody knows."""
        found = await self.look_up(host, port, family)
        if not found:
            raise OSError(None, "no address")
        results: list[ResolveResult] = []
        for kind, address in found:
            # A scope names an interface of this machine.
            require_allowed(ipaddress.ip_address(address.partition("%")[0]), self._rules)
            results.append(
                {
                    "hostname": host,
                    "host": address,
                    "port": port,
                    "family": kind,
                    "proto": 0,
                    "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                }
            )
        return results

    async def look_up(self, host: str, port: int, family: int) -> list[tuple[int, str]]:
        """Family and address of each that the system's resolver finds. Raises `OSError`."""
        return await addresses_of(host, port, family)

    async def close(self) -> None:
        pass


async def send(
    method: str,
    url: str,
    *,
    rules: Rules,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    seconds: float = SECONDS,
    most_answer: int = MOST_ANSWER,
    cut: bool = False,
    resolver: CheckedResolver | None = None,
) -> OutboundAnswer:
    """One request and its answer, whatever the status; one that redirects is an answer too.

    ``cut``: only the status counts, and of a body that is too long, does not end or breaks off what came is taken.

    Raises `OutboundRefused` for an address that may not be spoken to, `OutboundFailed` for everything that went wrong on the way.
    """
    checked_url(url, rules)
    connector = aiohttp.TCPConnector(
        resolver=resolver or CheckedResolver(rules), use_dns_cache=False, force_close=True, limit=1
    )
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_SECONDS, seconds))
    options: dict[str, Any] = {"trust_env": False, "auto_decompress": False, "cookie_jar": aiohttp.DummyCookieJar()}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, **options) as session,
            session.request(
                method, url, data=body, headers=headers, allow_redirects=False, max_line_size=8190, max_field_size=8190
            ) as response,
        ):
            found = bytearray()
            try:
                async for chunk in response.content.iter_any():
                    found += chunk
                    if len(found) > most_answer:
                        break
            except (TimeoutError, aiohttp.ClientError):
                if not cut:
                    raise
            if len(found) > most_answer and not cut:
                raise OutboundFailed(f"The answer is longer than {most_answer} bytes.")
            return OutboundAnswer(response.status, dict(response.headers), bytes(found[:most_answer]))
    except TimeoutError:
        raise OutboundFailed(f"There was no whole answer within {seconds:g} seconds.") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise OutboundFailed(f"It could not be reached: {type(error).__name__}.") from error
