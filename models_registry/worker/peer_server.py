"""Gives other nodes of the region pieces of blobs: over TLS, to those whom the control plane gave a ticket, no faster than the host's owner allows."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web

from models_registry.peers import tickets
from models_registry.worker.pace import Throttle
from ollamamax import logs
from ollamamax.contract.peers import PeerCertificate, peer_name

HAVE_HEADER = "X-OllamaMax-Have"
TICKET_HEADER = "X-OllamaMax-Ticket"
AT_ONCE = 32
"""Pieces in memory at once; who asks for more waits."""
LONGEST_WAIT = 2.0
"""Seconds: who would wait longer for its bytes is told to ask somebody else."""
_log = logs.get(__name__)


class Offered(Protocol):
    """A blob, or what there is of it so far."""

    @property
    def have(self) -> set[int]: ...

    @property
    def count(self) -> int: ...

    def get(self, number: int) -> bytes: ...


def bitmap(have: set[int], count: int) -> str:
    """Which pieces are there, for a header."""
    bits = bytearray(-(-count // 8))
    for number in have:
        bits[number >> 3] |= 1 << (number & 7)
    return base64.b64encode(bytes(bits)).decode()


def numbers_in(text: str, count: int) -> set[int]:
    """What `bitmap` told; nothing for what is none: it comes from another node."""
    try:
        bits = base64.b64decode(text, validate=True) if len(text) <= count + 8 else b""
    except ValueError:
        return set()
    if len(bits) != -(-count // 8):
        return set()
    return {number for number in range(count) if bits[number >> 3] >> (number & 7) & 1}


def contexts(given: PeerCertificate, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For those who come, and for going to others: both show the certificate, and want one of the same authority. Blocks."""
    file = folder / "peer.pem"
    file.touch(mode=0o600)
    file.write_text(given.key + given.certificate)
    try:
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_verify_locations(cadata=given.authority)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(file)
    finally:
        file.unlink(missing_ok=True)
    return server, client


class PeerServer:
    """``offered`` finds a blob by its digest; ``ticket_key`` may change while it runs."""

    def __init__(
        self, node: str, ticket_key: bytes, offered: Callable[[str], Offered | None], throttle: Throttle
    ) -> None:
        self._node, self.ticket_key = node, ticket_key
        self._offered, self._throttle = offered, throttle
        self._places = asyncio.Semaphore(AT_ONCE)
        self._runner: web.AppRunner | None = None
        self.bytes_given = 0
        self.port = 0

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Raises `OSError` where it cannot listen."""
        app = web.Application(client_max_size=1)
        app.router.add_get("/pieces/{digest}", self._have)
        app.router.add_get("/pieces/{digest}/{number:\\d{1,6}}", self._piece)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=context)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _found(self, request: web.Request) -> Offered:
        """Whoever has no ticket for it learns nothing, not even whether it is here."""
        digest = request.match_info["digest"]
        shown = request.transport.get_extra_info("peercert") if request.transport is not None else None
        names = [value for kind, value in (shown or {}).get("subjectAltName", ()) if kind == "DNS"]
        asking = names[0].partition(".")[0] if names else ""
        if not asking or names[0] != peer_name(asking):
            raise web.HTTPForbidden
        try:
            text = request.headers.get(TICKET_HEADER, "")
            tickets.check(self.ticket_key, text, asking=asking, giving=self._node, digest=digest, now=time.time())
        except tickets.TicketRefused as error:
            _log.warning("peer_refused", asking=asking, reason=str(error))
            raise web.HTTPForbidden from None
        found = self._offered(digest)
        if found is None:
            raise web.HTTPNotFound
        return found

    async def _have(self, request: web.Request) -> web.Response:
        found = self._found(request)
        return web.Response(status=204, headers={HAVE_HEADER: bitmap(found.have, found.count)})

    async def _piece(self, request: web.Request) -> web.Response:
        found, number = self._found(request), int(request.match_info["number"])
        headers = {HAVE_HEADER: bitmap(found.have, found.count)}
        if number not in found.have:
            return web.Response(status=404, headers=headers)
        if self._throttle.backlog > LONGEST_WAIT:
            return web.Response(status=429, headers=headers)
        async with self._places:
            data = await asyncio.to_thread(found.get, number)
            await self._throttle.take(len(data))
            self.bytes_given += len(data)
            return web.Response(body=data, headers=headers)
