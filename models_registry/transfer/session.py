"""HTTP to registries: only to hosts that are listed, and from there on only to public addresses.

A registry may send us elsewhere, for a token or for the bytes of a blob. What it names is followed over HTTPS and to
addresses of the public Internet only, unless that host is listed too; our token goes to the registry itself alone.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from models_registry.transfer.reference import Allowed, Reference
from ollamamax.kernel.errors import Forbidden, NotFound, OllamaMaxError

MOST_REDIRECTS = 5
MOST_TEXT = 4 << 20
"""Bytes of a manifest, a token or an error."""
SILENCE_SECONDS = 30.0
_HEADERS = {"User-Agent": "ollamamax", "Accept-Encoding": "identity"}
_TRANSLATED = tuple(ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))


class RegistryFailed(OllamaMaxError):
    """The registry does not answer, or not as the protocol says."""

    code = "registry_failed"
    status = 502


class Broken(RegistryFailed):
    """It may go better in a moment."""


def is_public(address: str) -> bool:
    """Whether an address is of the public Internet, and does not stand for one that is not."""
    found = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None:
        found = mapped
    if isinstance(found, ipaddress.IPv6Address) and any(found in network for network in _TRANSLATED):
        return False
    return found.is_global and not found.is_multicast


class PublicResolver(AbstractResolver):
    """Looks at the addresses that are connected to, not at those of an earlier question."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise Forbidden(f"The registry sends us to {host}, which is not of the public Internet.")
        return found

    async def close(self) -> None:
        await self._inner.close()


class Session:
    """One registry, for one job. ``async with``."""

    def __init__(self, reference: Reference, allowed: Allowed) -> None:
        self._reference = reference
        self._allowed = allowed
        self._token = ""

    async def __aenter__(self) -> Self:
        # A job's loop may have been started by a setting that is older than the job.
        self._allowed.check(self._reference)
        self._listed = _client(aiohttp.TCPConnector(ttl_dns_cache=0))
        self._public = _client(aiohttp.TCPConnector(ttl_dns_cache=0, resolver=PublicResolver()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listed.close()
        await self._public.close()

    def address(self, path: str) -> str:
        return f"{self._reference.base}/v2/{self._reference.repository}/{path}"

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, scope: str = "pull", **given: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, redirects followed and a token fetched where one is asked for. ``data`` must be a function that
        makes it anew. Raises `Broken` for what may pass, `Forbidden`, `NotFound`, `RegistryFailed`."""
        try:
            async with self._follow(method, url, given) as response:
                if response.status != 401 or not self._at_home(response.url):
                    await _refuse(response)
                    yield response
                    return
                await self._fetch_token(response.headers.get("WWW-Authenticate", ""), scope)
            async with self._follow(method, url, given) as response:
                await _refuse(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Broken(f"The registry {self._reference.host} broke off: {_words(error)}.") from error
        except ValueError as error:
            raise RegistryFailed(f"The registry {self._reference.host} gave an address that is none.") from error

    async def text(self, method: str, path: str, **given: Any) -> bytes:
        async with self.request(method, self.address(path), **given) as response:
            return await read_text(response)

    @asynccontextmanager
    async def _follow(self, method: str, url: str, given: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        place = URL(url, encoded=True)
        for _ in range(MOST_REDIRECTS + 1):
            async with self._once(method, place, given) as response:
                if response.status not in {301, 302, 303, 307, 308}:
                    yield response
                    return
                place = response.url.join(URL(response.headers.get("Location", ""), encoded=True))
        raise RegistryFailed(f"The registry {self._reference.host} redirects without end.")

    def _once(self, method: str, place: URL, given: dict[str, Any]) -> Any:
        client = self._client_for(place)
        headers = _HEADERS | given.get("headers", {})
        if self._token and self._at_home(place):
            headers["Authorization"] = f"Bearer {self._token}"
        data = given.get("data")
        return client.request(
            method, place, headers=headers, data=data() if data else None, params=None, allow_redirects=False
        )

    def _client_for(self, place: URL) -> aiohttp.ClientSession:
        """Raises `Forbidden` for an address that must not be spoken to."""
        authority = place.host or ""
        if place.explicit_port is not None:
            authority = f"{authority}:{place.explicit_port}"
        if self._allowed.lists(authority) and place.scheme in {"https", self._reference.scheme}:
            return self._listed
        refused = Forbidden(f"The registry {self._reference.host} sends us to {authority}, where we do not go.")
        if place.scheme != "https":
            raise refused
        try:
            if not is_public(place.host or ""):
                raise refused
        except ValueError:
            pass  # a name: its addresses are looked at when they are connected to
        return self._public

    def _at_home(self, place: URL) -> bool:
        return place.origin() == URL(self._reference.base).origin()

    async def _fetch_token(self, challenge: str, scope: str) -> None:
        """As the token specification of the distribution project says, for nobody in particular."""
        scheme, _, rest = challenge.partition(" ")
        told = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        realm = told.get("realm", "").strip('"')
        if scheme.lower() != "bearer" or not realm:
            raise Forbidden(f"The registry {self._reference.host} wants a log-in that this server does not have.")
        asked = {"service": told.get("service", "").strip('"')}
        asked["scope"] = f"repository:{self._reference.repository}:{scope}"
        place = str(URL(realm).update_query(asked))
        async with self._follow("GET", place, {}) as response:
            if response.status >= 300:
                raise Forbidden(f"The registry {self._reference.host} gives no token: HTTP {response.status}.")
            try:
                found = msgspec.json.decode(await read_text(response), type=dict[str, Any])
            except msgspec.DecodeError:
                found = {}
            self._token = str(found.get("token") or found.get("access_token") or "")
        if not self._token:
            raise Forbidden(f"The registry {self._reference.host} gives no token.")


def _client(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def read_text(response: aiohttp.ClientResponse) -> bytes:
    """All of a short answer. Raises `RegistryFailed` for one that is not short."""
    found = bytearray()
    async for part in response.content.iter_any():
        found += part
        if len(found) > MOST_TEXT:
            raise RegistryFailed(f"The registry sent more than {MOST_TEXT} bytes where a short text belongs.")
    return bytes(found)


async def _refuse(response: aiohttp.ClientResponse) -> None:
    """Raises for every answer that is not a success."""
    host, status = response.url.host, response.status
    if status < 300:
        return
    if status in {401, 403}:
        raise Forbidden(f"The registry {host} refuses: HTTP {status}.")
    if status == 404:
        raise NotFound("file does not exist")
    if status >= 500 or status in {408, 429}:
        raise Broken(f"The registry {host} answered with HTTP {status}.")
    raise RegistryFailed(f"The registry {host} answered with HTTP {status}.")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
