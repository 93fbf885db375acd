"""The models that llama.cpp holds in memory: one child process for each, loaded when they are needed and unloaded when they are not.

A child that dies is started again with growing pauses; after `MOST_DEATHS` in a row the version is ``failed``
until `COOL_DOWN` has passed or someone loads it. A model nobody used for its keep-alive is unloaded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from cluster.engines import http
from cluster.engines.base import LocalModels
from cluster.engines.llamacpp_memory import cache_share, needed
from cluster.engines.llamacpp_process import LlamaProcess
from cluster.engines.llamacpp_served import KEEP_ALIVE, Served, made_to_embed
from ollamamax import contract, logs
from ollamamax.kernel.errors import EngineFailed, ModelNotFound, OllamaMaxError

MOST_DEATHS = 5
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY = 60.0
COOL_DOWN = 60.0

log = logs.get("cluster.engines.llamacpp")


class Residents:
    """``session`` asks the children; ``available_memory`` is in bytes. ``served`` has an entry for each version that was ever asked for."""

    def __init__(
        self,
        models: LocalModels,
        session: Callable[[], aiohttp.ClientSession],
        *,
        slots: int,
        context: int,
        threads: int,
        available_memory: Callable[[], int],
    ) -> None:
        self._models = models
        self._session = session
        self._slots = slots
        self._context = context
        self._threads = threads
        self.available_memory = available_memory
        self.served: dict[str, Served] = {}
        self._reaper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._reaper = asyncio.create_task(self._unload_idle())

    async def close(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        await asyncio.gather(*(self._stop(served) for served in list(self.served.values())))

    def find(self, version: str, model: str) -> Served:
        """Raises `ModelNotFound` when the node does not have it."""
        found = self._models.find(version)
        if found is None:
            raise ModelNotFound(f"This node does not have {model} ({version}).", param="model")
        # An entry stays when its model is unloaded: there is one lock for each version, always.
        return self.served.setdefault(version, Served(found, self._context))

    async def load(
        self, version: str, model: str, keep_alive: float | None, load: contract.Load, num_ctx: int | None
    ) -> float:
        """Milliseconds it took; 0 when it was there."""
        served = self.find(version, model)
        served.failed_at = 0.0
        async with served.lock:
            took = await self._have(served, load, num_ctx or served.model.recipe.context(served.most_context(load)))
        if keep_alive is not None:
            served.keep_alive = keep_alive
        served.used_at = time.monotonic()
        return took

    async def unload(self, version: str) -> None:
        """When the requests that run have finished."""
        served = self.served.get(version)
        if served is not None:
            async with served.lock:
                await self._unused(served)
                await self._stop(served)
                # One that failed is told of no longer either: its version may have left this node.
                served.state, served.error = "unloaded", None

    def restart(self, version: str, reason: str) -> bool:
        """End the child, which hangs, by force: whoever watches it starts it again."""
        served = self.served.get(version)
        if served is None or served.process is None:
            return False
        served.state, served.error = "loading", reason
        served.process.kill()
        return True

    @asynccontextmanager
    async def using(
        self, served: Served, inference: contract.Inference, load: contract.Load
    ) -> AsyncIterator[tuple[LlamaProcess, float]]:
        """Hold the model in memory, with the context that its profile fixes, or else the request asks for."""
        task = asyncio.create_task(self._acquire(served, inference, load))
        try:
            process, load_ms = await asyncio.shield(task)
        except asyncio.CancelledError:
            # The caller left while the model was loading: it is loaded all the same, for those who wait too.
            task.add_done_callback(lambda done: _give_back(served, done))
            raise
        try:
            yield process, load_ms
        finally:
            served.release()
            if inference.keep_alive is not None:
                served.keep_alive = inference.keep_alive

    async def _acquire(
        self, served: Served, inference: contract.Inference, load: contract.Load
    ) -> tuple[LlamaProcess, float]:
        async with served.lock:
            # A model that was made to chat embeds from the first time it is asked to: that costs memory.
            if inference.kind == "embed" and not (served.embedding or made_to_embed(served.model)):
                await self._unused(served)
                await self._halt(served)
                served.embedding = "last"
            load_ms = await self._have(served, load, inference.options.num_ctx or 0)
            process = served.process
            if process is None:
                raise EngineFailed(f"llama.cpp does not run {served.model.name}.")
            served.users += 1
            return process, load_ms

    async def _have(self, served: Served, load: contract.Load, wanted: int) -> float:
        """Have it in memory with the context that its profile fixes, or else the request needs (the lock is held)."""
        former = served.context
        await self._fit(served, load, wanted)
        try:
            return await self._ensure(served)
        except EngineFailed:
            if load.num_ctx is None and served.context != former:
                # What one request asked too much of must not be what all others are loaded with.
                served.context, served.state = former, "unloaded"
            raise

    async def _fit(self, served: Served, load: contract.Load, wanted: int) -> None:
        wanted = served.bounded(wanted)
        context, layers = served.aim(load, wanted)
        if (context, layers) != (served.context, served.gpu_layers):
            await self._unused(served)
            await self._halt(served)
            served.context, served.gpu_layers = context, layers
        served.load = load

    @staticmethod
    async def _unused(served: Served) -> None:
        """Let the requests that run finish; those that come now wait at the lock, which is held."""
        while served.users:
            served.unused.clear()
            await served.unused.wait()

    async def _ensure(self, served: Served) -> float:
        """Have a ready child (the lock is held); the milliseconds that took."""
        if served.state == "loaded" and served.process is not None and served.process.alive:
            return 0.0
        if served.state == "failed" and time.monotonic() - served.failed_at < COOL_DOWN:
            raise EngineFailed(f"{served.model.name} does not run: {served.error}")
        start = time.perf_counter()
        await self._make_room(served)
        served.state = "loading"
        try:
            await self._begin(served)
        except (EngineFailed, TimeoutError, OSError) as error:
            self._failed(served, str(error) or type(error).__name__)
            await self._halt(served)
            raise EngineFailed(f"{served.model.name} could not be loaded: {served.error}") from error
        except asyncio.CancelledError:
            await self._halt(served)
            raise
        if served.watcher is None:
            served.watcher = asyncio.create_task(self._watch(served))
        return (time.perf_counter() - start) * 1000

    async def _begin(self, served: Served) -> None:
        served.embedding = served.embedding or made_to_embed(served.model)
        free = self._unpromised(served) - needed(served.model.size)
        order = served.order(self._slots, self._threads, cache_share(free))
        served.process = process = LlamaProcess(order)
        await process.ready(self._session())
        headers = {"Authorization": f"Bearer {process.api_key}"}
        async with self._session().get(f"{process.url}/props", headers=headers, timeout=http.QUICK) as response:
            props = await response.json()
        served.template = props.get("chat_template", "")
        served.vision = bool((props.get("modalities") or {}).get("vision"))
        served.state, served.error = "loaded", None
        served.used_at = time.monotonic()
        log.info("model_loaded", version=served.model.version, model=served.model.name, pid=process.pid)

    async def _watch(self, served: Served) -> None:
        """Start the child again when it dies by itself, with growing pauses."""
        while True:
            process = served.process
            if process is None:
                return
            began = time.monotonic()
            status = await process.died()
            if served.process is not process:
                continue  # it was replaced on purpose
            served.deaths = 1 if time.monotonic() - began > STEADY else served.deaths + 1
            served.state, served.error = "loading", f"llama.cpp died ({process.reason()}) and is started again"
            log.warning("engine_died", version=served.model.version, status=status, deaths=served.deaths)
            async with served.lock:
                if served.process is not process:
                    continue
                if not await self._begin_again(served):
                    served.watcher = None
                    return

    async def _begin_again(self, served: Served) -> bool:
        """Try to start the child until it runs (the lock is held). False when it died too often."""
        while served.deaths < MOST_DEATHS:
            await asyncio.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (served.deaths - 1)))
            try:
                await self._begin(served)
            except (OllamaMaxError, TimeoutError, OSError) as error:
                served.deaths += 1
                served.error = str(error)
            else:
                return True
        await self._halt(served)
        self._failed(served, f"llama.cpp died {served.deaths} times: {served.error}")
        return False

    def _failed(self, served: Served, error: str) -> None:
        served.state, served.error, served.failed_at, served.deaths = "failed", error, time.monotonic(), 0
        log.error("model_failed", version=served.model.version, error=error)

    async def _halt(self, served: Served) -> None:
        """End the child and keep the entry."""
        process, served.process = served.process, None
        if served.state != "failed":
            served.state = "unloaded"
        if process is not None:
            await process.stop()

    async def _stop(self, served: Served) -> None:
        """End the child and do not start it again."""
        if served.watcher is not None:
            served.watcher.cancel()
            served.watcher = None
        await self._halt(served)
        served.embedding, served.context, served.gpu_layers = "", self._context, None
        served.keep_alive = KEEP_ALIVE
        log.info("model_unloaded", version=served.model.version)

    async def _make_room(self, wanted: Served) -> None:
        """Unload what was used longest ago until the model fits; `EngineFailed` when it does not."""
        need = needed(wanted.model.size)
        while need > (free := self._unpromised(wanted)):
            idle = [
                served
                for served in self.served.values()
                if served is not wanted and served.state == "loaded" and not served.users and not served.lock.locked()
            ]
            if not idle:
                raise EngineFailed(
                    f"{wanted.model.name} needs about {need >> 20} MiB of memory and {free >> 20} MiB are free."
                )
            await self._stop(min(idle, key=lambda served: served.used_at))

    def _unpromised(self, wanted: Served) -> int:
        """Bytes that are free, without those that the prompt caches of other models may still take."""
        others = (each.process for each in self.served.values() if each is not wanted and each.process is not None)
        return self.available_memory() - sum(process.cache_to_come() for process in others)

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            for served in list(self.served.values()):
                left = served.expires_in()
                if served.state == "loaded" and left is not None and left <= 0 and not served.lock.locked():
                    async with served.lock:
                        if not served.users:
                            await self._stop(served)


def _give_back(served: Served, acquired: asyncio.Task[tuple[LlamaProcess, float]]) -> None:
    if not acquired.cancelled() and acquired.exception() is None:
        served.release()
