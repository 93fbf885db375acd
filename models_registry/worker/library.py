"""The versions this node was told to have: their manifests on disk, their downloads, and what of them is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
import msgspec

from cluster.engines.base import LocalModel
from cluster.worker.agent import STARTERS, Agent
from models_registry.manifest import Layer, digest_of, is_weights
from models_registry.worker import fetch
from models_registry.worker.blobs import BlobFolder
from models_registry.worker.pace import BytePace, Speed, Throttle
from models_registry.worker.peering import Peering
from models_registry.worker.recipe import read_recipe
from models_registry.worker.returning import return_blob
from ollamamax import contract, logs
from ollamamax.kernel.errors import InvalidRequest, OllamaMaxError

AT_ONCE = 2
STOPPED = "Its transfer was stopped."
LOOK_SECONDS = 30.0
"""How often it is looked whether the files are those that were verified."""
READ_AGAIN_SECONDS = 7 * 24 * 3600.0
"""Whole files are read again after so long: bytes rot without a trace in size or time."""
READ_BYTES_PER_SECOND = 32 << 20
"""Reading them goes no faster, for the sake of what loads models."""

log = logs.get("models_registry.worker.library")


class _Layer(msgspec.Struct):
    digest: str
    size: int
    media_type: str


class WantedVersion(msgspec.Struct):
    """A version this node should have; the content of its file under ``manifests/``."""

    version: str
    name: str
    manifest: dict[str, Any]
    stopped: bool = False
    """Somebody stopped its transfer: it is gone on with when it is asked for again."""

    def layers(self) -> list[Layer]:
        found = msgspec.convert(self.manifest.get("layers", []), list[_Layer])
        return [Layer(each.digest, each.size, each.media_type) for each in found]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers())


class Library:
    """Used in the agent's loop only."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._folder = BlobFolder(agent.home / "blobs")
        self._manifests = agent.home / "manifests"
        self._manifests.mkdir(parents=True, exist_ok=True)
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._blobs: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._client: aiohttp.ClientSession | None = None
        self._throttle = Throttle(agent.transfers.bytes_per_second)
        self._paces: dict[str, BytePace] = {}
        self.peering = Peering(agent, self._folder, self._session)

    async def resume(self) -> None:
        """Report what is whole, verify what changed, go on with what was not finished."""
        for file in sorted(self._manifests.glob("*.json")):
            try:
                wanted = msgspec.json.decode(file.read_bytes(), type=WantedVersion)
                self._failed(wanted, STOPPED) if wanted.stopped else self._begin(wanted)
            except (OSError, msgspec.DecodeError, OllamaMaxError) as error:
                log.warning("manifest_unreadable", file=file.name, error=str(error))
                file.unlink(missing_ok=True)

    async def fetch(self, version: str, name: str, manifest: dict[str, Any], base_url: str = "") -> None:
        """Have the version; returns when its download was begun. Asked again, it changes nothing."""
        wanted = WantedVersion(version, name, manifest)
        try:
            self._check(wanted)
        except (OllamaMaxError, msgspec.ValidationError) as error:
            self._failed(wanted, f"The manifest cannot be used: {error}")
            return
        path = self._manifest_path(version)
        path.write_bytes(msgspec.json.encode(wanted))
        self._begin(wanted, base_url)

    async def stop(self, version: str) -> None:
        """Break off its transfer; what came so far stays. What is whole already stays as it is."""
        path = self._manifest_path(version)
        if self._agent.local_models.find(version) is not None or not path.exists():
            return
        await self._break_off(version)
        wanted = msgspec.json.decode(path.read_bytes(), type=WantedVersion)
        wanted.stopped = True
        path.write_bytes(msgspec.json.encode(wanted))
        self._failed(wanted, STOPPED)

    async def _break_off(self, version: str) -> None:
        """End its transfer, and those of its blobs that no other version waits for."""
        tasks = [task for task in [self._fetching.pop(version, None)] if task is not None]
        path = self._manifest_path(version)
        if path.exists():
            waited = {
                layer.digest
                for other, task in self._fetching.items()
                if not task.done() and self._manifest_path(other).exists()
                for layer in msgspec.json.decode(self._manifest_path(other).read_bytes(), type=WantedVersion).layers()
            }
            mine = msgspec.json.decode(path.read_bytes(), type=WantedVersion).layers()
            tasks += [
                self._blobs[each.digest] for each in mine if each.digest in self._blobs and each.digest not in waited
            ]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def remove(self, version: str) -> None:
        """Take the version out of memory and off the disk; blobs that another version needs stay."""
        await self._break_off(version)
        local = self._agent.local_models.find(version)
        self._agent.local_models.drop(version)
        if local is not None:
            await self._agent.engine.unload(version, local.name)
        path = self._manifest_path(version)
        if not path.exists():
            return
        gone = msgspec.json.decode(path.read_bytes(), type=WantedVersion)
        path.unlink()
        rest = [msgspec.json.decode(f.read_bytes(), type=WantedVersion) for f in self._manifests.glob("*.json")]
        needed = {layer.digest for other in rest for layer in other.layers()}
        for layer in gone.layers():
            if layer.digest not in needed:
                self._folder.remove(layer.digest)
        log.info("version_removed", version=version)

    async def return_blob(self, digest: str, base_url: str = "") -> None:
        """Send a blob of a version that this node has to the control plane, which lost it."""
        url = f"{self._source(base_url)}/api/v1/blobs/{digest}"
        async with self._places:
            await return_blob(self._session(), url, self._folder, digest)

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None or self._client.closed:
            self._client = fetch.session(self._agent.identity.secret)
        return self._client

    def _check(self, wanted: WantedVersion) -> None:
        if digest_of(wanted.manifest) != wanted.version:
            raise InvalidRequest("its digest is not the version's.")
        layers = wanted.layers()
        for layer in layers:
            self._folder.path(layer.digest)
        if sum(is_weights(layer.media_type) for layer in layers) != 1:
            raise InvalidRequest("it has not exactly one GGUF layer.")

    def _begin(self, wanted: WantedVersion, base_url: str = "") -> None:
        running = self._fetching.get(wanted.version)
        if running is not None and not running.done():
            return
        self._manifest_path(wanted.version)
        if all(self._folder.stamped(layer.digest) for layer in wanted.layers()):
            self._ready(wanted)
            return
        # At once: nobody is told that what was damaged is ready still.
        self._note(wanted, "fetching", bytes_done=0)
        work = self._complete(wanted, self._source(base_url))
        self._fetching[wanted.version] = self._agent.spawn(work, f"fetch {wanted.version}")

    async def _complete(self, wanted: WantedVersion, source: str) -> None:
        done: dict[str, int] = {}
        speed = Speed()

        def progress(digest: str, have: int) -> None:
            done[digest] = have
            total = sum(done.values())
            self._note(wanted, "fetching", bytes_done=total, bytes_per_second=speed.at(total))

        try:
            for layer in wanted.layers():
                await self._blob(source, wanted.version, layer, progress)
                progress(layer.digest, layer.size)
        except fetch.FetchFailed as error:
            self._failed(wanted, str(error))
            return
        finally:
            self._paces.pop(wanted.version, None)
        self._ready(wanted)

    async def _blob(self, source: str, version: str, layer: Layer, progress: Any) -> None:
        """Have one blob. Versions that share it wait for the same download."""
        task = self._blobs.get(layer.digest)
        if task is None or task.done():
            task = self._agent.spawn(self._fetch_blob(source, version, layer, progress), f"blob {layer.digest}")
            self._blobs[layer.digest] = task
        # A version that is removed stops waiting; another may wait for the same blob.
        await asyncio.shield(task)

    async def _fetch_blob(self, source: str, version: str, layer: Layer, progress: Any) -> None:
        path = self._folder.path(layer.digest)
        # A file whose stamp does not fit was touched by somebody: read it before fetching it anew.
        if path.exists() and await asyncio.to_thread(self._folder.verify, layer.digest):
            return
        async with self._places:
            url = f"{source}/api/v1/blobs/{layer.digest}"
            pace = self._paces.setdefault(
                version, BytePace(self._throttle, lambda count: fetch.ask_leave(self._session(), url, count))
            )
            if await self.peering.fetch(url, layer, lambda have: progress(layer.digest, have), pace):
                return
            await fetch.fetch_blob(
                self._session(),
                url,
                self._folder,
                layer.digest,
                layer.size,
                lambda have: progress(layer.digest, have),
                pace,
            )

    def _source(self, base_url: str) -> str:
        """``base_url``, when it is the control plane we joined: no other host is shown the node's secret."""
        joined = self._agent.identity.url.rstrip("/")
        same = base_url and urlsplit(base_url)[:2] == urlsplit(joined)[:2]
        return base_url.rstrip("/") if same else joined

    def _manifest_path(self, version: str) -> Path:
        return self._manifests / (self._folder.path(version).name.removeprefix("sha256-") + ".json")

    def _ready(self, wanted: WantedVersion) -> None:
        [weights] = [layer for layer in wanted.layers() if is_weights(layer.media_type)]
        config = wanted.manifest.get("config") or {}
        try:
            recipe = read_recipe(wanted.layers(), self._folder.path)
        except (OllamaMaxError, OSError) as error:
            self._failed(wanted, f"The model cannot be used: {error}")
            return
        path = self._folder.path(weights.digest)
        self._agent.local_models.put(LocalModel(wanted.version, wanted.name, path, wanted.size, config, recipe))
        log.info("version_ready", version=wanted.version, name=wanted.name)

    def _note(
        self, wanted: WantedVersion, state: Any, *, bytes_done: int, bytes_per_second: float | None = None
    ) -> None:
        self._agent.local_models.note(
            contract.ModelState(
                *(wanted.version, wanted.name, state, "llamacpp"),
                size=wanted.size,
                bytes_done=bytes_done,
                bytes_per_second=bytes_per_second,
                bytes_of_peers=sum(self.peering.bytes_of_peers.get(each.digest, 0) for each in wanted.layers()) or None,
            )
        )

    def _failed(self, wanted: WantedVersion, error: str) -> None:
        log.error("fetch_failed", version=wanted.version, error=error)
        self._agent.local_models.note(
            contract.ModelState(wanted.version, wanted.name, "failed", "llamacpp", error=error)
        )

    # -- what became of the files meanwhile

    async def watch(self) -> None:
        """For ever: notice files that somebody changed or removed, and read whole ones again now and then; have anew what is not what it was."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look_after()

    async def look_after(self, *, again: float = READ_AGAIN_SECONDS) -> list[str]:
        """One look. Returns the versions that are had anew. ``again``: files that were verified so many seconds ago are read once more."""
        repaired = []
        for file in sorted(self._manifests.glob("*.json")):
            try:
                wanted = msgspec.json.decode(file.read_bytes(), type=WantedVersion)
                if self._agent.local_models.find(wanted.version) is None:
                    continue
                for layer in wanted.layers():
                    if self._folder.stamped(layer.digest) and self._folder.verified_for(layer.digest) > again:
                        await self._read_again(layer)
                if not all(self._folder.stamped(layer.digest) for layer in wanted.layers()):
                    log.warning("version_damaged", version=wanted.version, name=wanted.name)
                    self._begin(wanted)
                    repaired.append(wanted.version)
            except (OSError, msgspec.DecodeError, OllamaMaxError) as error:
                log.warning("version_not_looked_at", file=file.name, error=str(error))
        return repaired

    async def _read_again(self, layer: Layer) -> None:
        """Slowly; what is not what it was is removed."""
        whole = await asyncio.to_thread(self._folder.verify, layer.digest, READ_BYTES_PER_SECOND)
        if not whole:
            log.error("blob_rotten", digest=layer.digest)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


_libraries: WeakKeyDictionary[Agent, Library] = WeakKeyDictionary()


def library_of(agent: Agent) -> Library:
    """The agent's library. In its loop only."""
    if agent not in _libraries:
        _libraries[agent] = library = Library(agent)
        agent.closers.append(library.close)
    return _libraries[agent]


async def _resume(agent: Agent) -> None:
    library = library_of(agent)
    await library.resume()
    agent.background.run("files of models", library.watch)
    if agent.transfers.listens:
        agent.background.run("bytes for other nodes", library.peering.serve)


STARTERS.append(_resume)
