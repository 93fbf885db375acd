"""Nodes that have one blob of each other over real TLS, in one process; the control plane is a function that counts bytes."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from models_registry.peers.authority import PeerAuthority
from models_registry.worker.blobs import BlobFolder
from models_registry.worker.pace import Throttle
from models_registry.worker.peer_client import PeerClient
from models_registry.worker.peer_server import Offered, PeerServer, contexts
from models_registry.worker.pieces import PieceFile
from models_registry.worker.swarm import Swarm
from ollamamax.contract.peers import BlobPeer, BlobSource

AUTHORITY = PeerAuthority("a secret of this test alone")


def source_of(data: bytes, piece: int) -> BlobSource:
    pieces = [data[begin : begin + piece] for begin in range(0, len(data), piece)]
    return BlobSource(len(data), piece, b"".join(hashlib.sha256(each).digest() for each in pieces))


@dataclass
class Registry:
    """``rate``: bytes a second for each node."""

    data: bytes
    piece: int
    bytes_given: int = 0
    asked: list[int] = field(default_factory=list)

    async def get(self, number: int) -> bytes:
        await asyncio.sleep(0)
        found = self.data[number * self.piece : (number + 1) * self.piece]
        self.bytes_given += len(found)
        self.asked.append(number)
        return found


class PeerNode:
    """One node: what it has of the blob, its server, and how it has the rest."""

    def __init__(self, name: str, folder: Path, registry: Registry, rate: int | None = None) -> None:
        self.id = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        self.home = folder / name
        self.home.mkdir(parents=True, exist_ok=True)
        self.registry = registry
        self.digest = "sha256:" + hashlib.sha256(registry.data).hexdigest()
        self.folder = BlobFolder(self.home / "blobs")
        self.file = PieceFile(self.folder, self.digest, source_of(registry.data, registry.piece))
        self.throttle = Throttle(rate)
        given = AUTHORITY.issue(self.id, datetime.datetime.now(datetime.UTC))
        self.server_context, self.client_context = contexts(given, self.home)
        self.server = PeerServer(self.id, given.ticket_key, self.offered, Throttle(rate))
        self.whole = False
        self.swarm: Swarm | None = None

    def offered(self, digest: str) -> Offered | None:
        return self.file if digest == self.digest else None

    async def start(self) -> None:
        await self.server.start("127.0.0.1", 0, self.server_context)

    def as_peer_of(self, asking: str) -> BlobPeer:
        ticket = AUTHORITY.ticket(asking=asking, giving=self.id, digest=self.digest, now=time.time())
        return BlobPeer(self.id, "127.0.0.1", self.server.port, ticket, self.whole)

    async def fetch(self, others: list[PeerNode], patience: float = 1.0) -> None:
        client = PeerClient(self.digest, self.file, self.client_context)
        await self.file.open()
        self.swarm = Swarm(
            self.id,
            self.file,
            self.registry.get,
            client.ask,
            client.look,
            lambda have, of_peers: None,
            self.throttle,
            patience,
        )
        try:
            self.swarm.meet([other.as_peer_of(self.id) for other in others if other is not self])
            await self.swarm.run()
            assert await self.file.finish()
            self.whole = True
        finally:
            await client.close()

    def has_it(self) -> bool:
        return self.folder.path(self.digest).read_bytes() == self.registry.data

    async def close(self) -> None:
        await self.server.close()
