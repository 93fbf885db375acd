"""This node among those of its region that have models of each other: its certificate, its server, and blobs that it has in pieces."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import aiohttp
import msgspec

from cluster.worker.agent import Agent
from models_registry.manifest import Layer
from models_registry.worker.blobs import BlobFolder
from models_registry.worker.fetch import FetchFailed, told_disk_trouble
from models_registry.worker.pace import BytePace, Throttle
from models_registry.worker.peer_client import PeerClient
from models_registry.worker.peer_server import Offered, PeerServer, contexts
from models_registry.worker.pieces import PieceFile, read_piece
from models_registry.worker.swarm import Swarm, SwarmFailed
from ollamamax import logs
from ollamamax.contract.peers import MOST_SOURCE_BYTES, BlobSource, PeerCertificate, PeerPlace, piece_size
from ollamamax.kernel.disk import DiskFull, require_free

LEAST = 4 << 20
"""Smaller blobs are not worth the talk."""
RENEW_SECONDS = 5.0
"""Who else has the blob is asked so often while it comes."""
SOON_SECONDS = 120.0
"""So long a node waits for the control plane to know the pieces of a blob; then it takes all from there."""
AGAIN_SECONDS = 60.0
"""After a certificate could not be had."""
_log = logs.get(__name__)


class _WholeBlob:
    def __init__(self, folder: BlobFolder, digest: str) -> None:
        self._path = folder.path(digest)
        self._size = self._path.stat().st_size
        self._piece = piece_size(self._size)
        self.count = -(-self._size // self._piece)
        self.have = set(range(self.count))

    def get(self, number: int) -> bytes:
        return read_piece(self._path, number, self._piece, self._size)


class Peering:
    """In the agent's loop only. Without an address and a port it does nothing but have pieces from the control plane."""

    def __init__(self, agent: Agent, folder: BlobFolder, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._agent, self._folder, self._session = agent, folder, session
        self._coming: dict[str, PieceFile] = {}
        self._client_context: ssl.SSLContext | None = None
        self.bytes_of_peers: dict[str, int] = {}
        """By digest, of blobs that are coming or came since the start."""

    # -- giving

    async def serve(self) -> None:
        """For ever: listen where the host's owner said, with a certificate that is renewed."""
        settings = self._agent.transfers
        while True:
            try:
                given = await self._certificate()
                server_context, self._client_context = await asyncio.to_thread(contexts, given, self._agent.home)
                server = PeerServer(
                    self._agent.identity.node, given.ticket_key, self._offered, Throttle(settings.bytes_per_second)
                )
                await server.start("", settings.port, server_context)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, msgspec.DecodeError) as error:
                _log.warning("peers_not_served", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            try:
                self._agent.local_models.peer_place = PeerPlace(settings.address, settings.port)
                await asyncio.sleep(given.seconds)
            finally:
                await server.close()

    async def _certificate(self) -> PeerCertificate:
        url = self._agent.identity.url.rstrip("/") + "/api/v1/blobs/certificate"
        async with self._session().get(url) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.content.read(64 << 10), type=PeerCertificate)

    def _offered(self, digest: str) -> Offered | None:
        if (coming := self._coming.get(digest)) is not None:
            return coming
        return _WholeBlob(self._folder, digest) if self._folder.stamped(digest) else None

    # -- having

    async def fetch(self, url: str, layer: Layer, progress: Callable[[int], None], pace: BytePace) -> bool:
        """Have a blob in pieces, whole and verified, as fast as ``pace`` says; ``False`` where the control plane does not tell its pieces. Raises `FetchFailed`."""
        if layer.size < LEAST:
            return False
        source = await self._source(f"{url}/source", layer)
        if source is None or not source.hashes:
            return False
        try:
            file = PieceFile(self._folder, layer.digest, source)
            await file.open()
            require_free(file.path.parent, layer.size - file.bytes_there)
            self._coming[layer.digest] = file
            await self._have(url, layer, source, file, progress, pace)
            if not await file.finish():
                raise FetchFailed(f"The pieces that came for {layer.digest[:19]} are not those of that digest.")
        except DiskFull as error:
            raise FetchFailed(error.message) from error
        except ValueError as error:
            raise FetchFailed(f"The control plane told of pieces that cannot be: {error}.") from error
        except OSError as error:
            raise FetchFailed(told_disk_trouble(error, self._folder, layer.digest, layer.size)) from error
        finally:
            self._coming.pop(layer.digest, None)
        return True

    async def _have(
        self,
        url: str,
        layer: Layer,
        source: BlobSource,
        file: PieceFile,
        progress: Callable[[int], None],
        pace: BytePace,
    ) -> None:
        pace.told(source.rate, source.region_rate)

        def tell(have: int, of_peers: int) -> None:
            self.bytes_of_peers[layer.digest] = of_peers
            progress(have)

        async def registry(number: int) -> bytes:
            begin = number * file.piece
            wanted = {"Range": f"bytes={begin}-{begin + file.length(number) - 1}"}
            try:
                async with self._session().get(url, headers=wanted) as response:
                    if response.status not in {200, 206} or (response.status == 200 and file.count > 1):
                        raise ConnectionError(f"HTTP {response.status}")
                    pace.told_by(response.headers)
                    return await response.content.readexactly(file.length(number))
            except (aiohttp.ClientError, EOFError) as error:
                raise ConnectionError(str(error) or type(error).__name__) from error

        client = PeerClient(layer.digest, file, self._client_context)
        swarm = Swarm(self._agent.identity.node, file, registry, client.ask, client.look, tell, pace)
        swarm.meet(source.peers if self._client_context is not None else [])
        try:
            async with asyncio.TaskGroup() as group:
                meeting = group.create_task(self._keep_meeting(url, layer, swarm, pace))
                await swarm.run()
                meeting.cancel()
        except* SwarmFailed as failed:
            raise FetchFailed(_first(failed)) from failed
        except* OSError as failed:
            raise FetchFailed(told_disk_trouble(_error_in(failed), self._folder, layer.digest, layer.size)) from failed
        finally:
            await client.close()

    async def _keep_meeting(self, url: str, layer: Layer, swarm: Swarm, pace: BytePace) -> None:
        while self._client_context is not None:
            await asyncio.sleep(RENEW_SECONDS)
            source = await self._told(f"{url}/source?hashes=0", layer)
            if source is not None:
                swarm.meet(source.peers)
                pace.told(source.rate, source.region_rate)

    async def _source(self, url: str, layer: Layer) -> BlobSource | None:
        """What the control plane tells, once it knows the pieces; where others could have them of us, it is worth waiting for that."""
        waits = SOON_SECONDS / 2 if self._agent.transfers.listens else 0
        source = await self._told(url, layer)
        while source is not None and source.soon and waits > 0:
            waits -= 1
            await asyncio.sleep(2.0)
            source = await self._told(url, layer)
        return source

    async def _told(self, url: str, layer: Layer) -> BlobSource | None:
        """``None`` of a control plane that does not tell, or of what makes no sense."""
        try:
            async with self._session().get(url) as response:
                if response.status != 200:
                    return None
                told = await response.content.read(MOST_SOURCE_BYTES)
                source = msgspec.json.decode(told, type=BlobSource)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            _log.info("source_not_told", digest=layer.digest, error=str(error) or type(error).__name__)
            return None
        return source if source.size == layer.size else None


def _error_in(group: BaseExceptionGroup[OSError]) -> OSError:
    first = group.exceptions[0]
    return _error_in(first) if isinstance(first, BaseExceptionGroup) else first


def _first(group: BaseExceptionGroup[SwarmFailed]) -> str:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else str(first)
