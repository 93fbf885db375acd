"""Asks other nodes for pieces: over TLS, checked to be who they are, with bounds on time and length."""

from __future__ import annotations

import ssl

import aiohttp

from models_registry.worker.peer_server import HAVE_HEADER, TICKET_HEADER, numbers_in
from models_registry.worker.pieces import PieceFile
from models_registry.worker.swarm import PeerFailed
from ollamamax.contract.peers import BlobPeer, peer_name

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 10.0
SLOWEST = 128 << 10
"""Bytes a second below which a node counts as one that stalls."""


class PeerClient:
    """For one blob. ``context`` is the node's own, which shows its certificate; a node without one asks nobody."""

    def __init__(self, digest: str, file: PieceFile, context: ssl.SSLContext | None) -> None:
        self._digest, self._file, self._context = digest, file, context
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def look(self, peer: BlobPeer) -> set[int]:
        """Raises `PeerFailed`."""
        _, have = await self._get(peer, f"/pieces/{self._digest}", 0)
        return have

    async def ask(self, peer: BlobPeer, number: int) -> tuple[bytes, set[int]]:
        """A piece, unchecked, and what the node has by now. Raises `PeerFailed`."""
        return await self._get(peer, f"/pieces/{self._digest}/{number}", self._file.length(number))

    async def _get(self, peer: BlobPeer, path: str, length: int) -> tuple[bytes, set[int]]:
        if self._context is None:
            raise PeerFailed("this node has no certificate")
        host = f"[{peer.address}]" if ":" in peer.address else peer.address
        timeout = aiohttp.ClientTimeout(
            total=CONNECT_SECONDS + SILENT_SECONDS + length / SLOWEST,
            sock_connect=CONNECT_SECONDS,
            sock_read=SILENT_SECONDS,
        )
        try:
            async with self._session.get(
                f"https://{host}:{peer.port}{path}",
                headers={TICKET_HEADER: peer.ticket},
                ssl=self._context,
                server_hostname=peer_name(peer.node),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                have = numbers_in(response.headers.get(HAVE_HEADER, ""), self._file.count)
                if response.status == 404 and HAVE_HEADER in response.headers:
                    raise PeerFailed("it does not have this piece", have)
                if response.status == 429 and HAVE_HEADER in response.headers:
                    raise PeerFailed("it has much to do", have, busy=True)
                if response.status not in {200, 204}:
                    raise PeerFailed(f"HTTP {response.status}", reached=True)
                if not length:
                    return b"", have
                # A length that is told is no reason to wait for as much: what is more than the piece is not read.
                return await response.content.readexactly(length), have
        except PeerFailed:
            raise
        except (aiohttp.ClientError, OSError, TimeoutError, EOFError, ValueError) as error:
            raise PeerFailed(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        await self._session.close()
