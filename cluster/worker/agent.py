"""The agent: one thread with one event loop that runs the node's tickets, reports its state and obeys its controls.

Celery's threads only hand work to it. Everything that is held survives a restart of Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from redis.exceptions import RedisError

from cluster.engines.base import EngineAdapter, LocalModels
from cluster.scheduling.silence import FLOOR
from cluster.worker.control import Listener
from cluster.worker.faults import SufferedFaults
from cluster.worker.identity import Identity
from cluster.worker.inbox import Inbox, stopping
from cluster.worker.local_models import DownloadedModels
from cluster.worker.log_answers import LogAnswers
from cluster.worker.outlet import Outlet, Outlets
from cluster.worker.reporter import Reporter
from cluster.worker.runs import Runs
from cluster.worker.telemetry import Sampler
from cluster.worker.transfer_settings import TransferSettings
from cluster.worker.watch import Watch
from ollamamax import contract, logs
from ollamamax.bus.background import Background
from ollamamax.bus.connect import connect_async
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract.experiment import NodeFault
from ollamamax.kernel import heap
from ollamamax.kernel.errors import ModelNotFound, OllamaMaxError
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end
from ollamamax.observability import event_loop_lag
from ollamamax.observability.instruments import Sample, ask_at_scrape

DEAF_SECONDS = 10.0

T = TypeVar("T")
Starter = Callable[["Agent"], Awaitable[None]]
STARTERS: list[Starter] = []
"""Called in the loop when an agent starts: other contexts add theirs. One that fails does not stop the agent."""

log = logs.get("cluster.worker.agent")
current: Agent | None = None
"""The agent of this process, for the Celery tasks."""


class Agent:
    """``make_engine`` builds the engine for the models on this host, in the agent's loop. ``awake`` as `Inbox` takes it,
    ``silence`` as `Watch` takes its floor, ``transfers`` what it may take and give of bytes of models, ``faults`` those that experiments may have it suffer."""

    def __init__(
        self,
        identity: Identity,
        home: Path,
        make_engine: Callable[[LocalModels], EngineAdapter],
        *,
        grace: float,
        awake: float,
        silence: float = FLOOR,
        transfers: TransferSettings | None = None,
        faults: Sequence[NodeFault] = (),
    ) -> None:
        self.transfers = transfers or TransferSettings()
        self.identity = identity
        self.home = home
        self.local_models = DownloadedModels()
        self.background = Background()
        """What it does for ever. A part that dies is begun again, and meanwhile the node says that it is not well."""
        self.closers: list[Callable[[], Awaitable[None]]] = []
        self.boot = new_id()
        self.failed = False
        self.grace = grace
        self._awake = awake
        self._silence = silence
        self._allowed_faults = tuple(faults)
        self._make_engine = make_engine
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._tasks: list[asyncio.Task[None]] = []
        self.engine: EngineAdapter
        self.runs: Runs
        self.inbox: Inbox

    # From other threads

    def start(self) -> None:
        """Start the thread; return when the loop runs and the engine was started."""
        self._thread.start()
        self._started.result()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` in the agent's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def begin_stop(self) -> None:
        """Take no more tickets; those that run have the grace time. Safe in a signal handler, and twice."""
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Wait until all was finished or cancelled, written, and the engine's processes are gone."""
        self._thread.join()

    # In the loop

    async def drain(self) -> None:
        await self.inbox.drain()

    async def load(
        self,
        version: str,
        name: str,
        keep_alive: float | None,
        load: contract.Load = contract.NOTHING_FIXED,
    ) -> None:
        """Load a version; a failure is logged, and shows in the node's state."""
        try:
            await self.engine.load(version, name, keep_alive, load)
        except OllamaMaxError as error:
            log.warning("load_failed", version=version, error=error.message)

    async def unload(self, version: str, name: str) -> None:
        try:
            await self.engine.unload(version, name)
        except OllamaMaxError as error:
            log.warning("unload_failed", version=version, error=error.message)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` beside everything else until the agent stops; a failure is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        if task in self._tasks:
            self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("agent_task_failed", task=task.get_name(), error=repr(error), exc_info=error)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._main())
        except BaseException as error:
            self.failed = True
            if not self._started.done():
                self._started.set_exception(error)
                return
            log.exception("agent_failed")
            # Without its agent the process serves nothing: end it, so that whoever supervises it starts another.
            os.kill(os.getpid(), signal.SIGTERM)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        client = connect_async(self.identity.redis_url)
        commands, claiming = Pipelined(self.identity.redis_url), Pipelined(self.identity.redis_url)
        outlets = Outlets(lambda gateway: Outlet(commands, self.identity.node, gateway))
        self.engine = self._make_engine(self.local_models)
        await self.engine.start()
        self.runs = Runs(outlets, self._pick, self.identity.tenant)
        slots = (await self.engine.capacity()).slots
        node = self.identity.node
        self.inbox = Inbox(client, claiming, node, self.boot, slots, self.runs, outlets, self._awake)
        listener = Listener(
            self.identity.redis_url,
            node,
            self.runs,
            self.inbox,
            outlets,
            LogAnswers(commands, self.identity, self.boot),
        )
        sampler = await asyncio.to_thread(Sampler, self.home)
        watch = Watch(self.runs, lambda: self.engine, self._silence)
        faults = None
        if self._allowed_faults:
            url = self.identity.engine.url
            faults = SufferedFaults(client, node, self.home, self._allowed_faults, lambda: self.engine, url, self.runs)
        reporter = Reporter(
            client,
            self.identity,
            self.boot,
            self.engine,
            self.local_models,
            self.runs,
            self.inbox,
            sampler,
            watch,
            self.background,
            faults,
        )
        unshow = ask_at_scrape(self._shown)
        self._started.set_result(None)
        for starter in STARTERS:
            self.spawn(_as_coroutine(starter(self)), "starter")
        self.background.run("controls", listener.listen)
        leftovers = self.spawn(self._leftovers(listener), "leftovers")

        def after_beat() -> None:
            reporter.draining = self._stop.is_set()
            if leftovers.done():
                self._drain_by_itself(reporter.waiting)
                self.spawn(self.inbox.heal(), "heal")
            self._stop_unheard(outlets)
            self.runs.forget_old()

        await reporter.first_look()
        heap.keep()
        self.background.run("event loop lag", event_loop_lag.measure_for_ever)
        self.background.run("engine survey", reporter.survey)
        self.background.run("host measurements", reporter.measure)
        self.background.run("engine watch", watch.watch)
        if faults is not None:
            self.background.run("faults of experiments", faults.watch)
        self.background.run("state", lambda: reporter.beat(after_beat))
        await self._stop.wait()
        unshow()
        if faults is not None:
            await faults.close()
        await self._finish(outlets)
        await end(list(self._tasks))
        await self.background.stop()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await reporter.forget()
        await watch.close()
        await self.engine.close()
        for close in self.closers:
            await close()
        await commands.aclose()
        await claiming.aclose()
        await client.aclose()

    def _shown(self) -> list[tuple[str, list[Sample]]]:
        """What it tells Prometheus itself; how the node is, the control plane tells of all nodes."""
        told = {
            "ollamamax_agent_running": len(self.runs.running),
            "ollamamax_agent_slots": self.inbox.slots,
            "ollamamax_agent_tokens_total": self.runs.tokens,
        }
        return [(name, [((), float(value))]) for name, value in told.items()]

    async def _finish(self, outlets: Outlets) -> None:
        """Let the running tickets end within the grace time; cancel the rest; write everything."""
        self.inbox.stopping = True
        self.runs.changed.set()
        log.info("agent_stopping", running=len(self.runs.running), grace=self.grace)
        end = self._loop.time() + self.grace
        # A ticket that is being taken right now still runs here.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(6):
                await self.inbox.idle.wait()
        while self.runs.running and (left := end - self._loop.time()) > 0:
            tasks = [run.task for run in self.runs.running.values() if run.task is not None]
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.ALL_COMPLETED)
        rest = [run.task for run in self.runs.running.values() if run.task is not None]
        for ticket in list(self.runs.running):
            self.runs.cancel(ticket, stopping())
        if rest:
            await asyncio.wait(rest, timeout=5)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                for outlet in outlets.all():
                    await outlet.flush()

    def _pick(self, ticket: contract.Ticket) -> EngineAdapter:
        if self.engine.hosts_blobs and self.local_models.find(ticket.version) is None:
            raise ModelNotFound(f"This node does not have {ticket.model} ({ticket.version}).", param="model")
        return self.engine

    async def _leftovers(self, listener: Listener) -> None:
        # A gateway that hears of the end asks for it again at once: the question must find somebody who listens.
        await listener.listening.wait()
        while True:
            try:
                await self.inbox.fail_leftovers()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("agent_waits_for_redis", error=str(error))
                await asyncio.sleep(0.5)
            else:
                return

    def _drain_by_itself(self, waiting: int) -> None:
        """Drain without being asked when tickets wait: the Celery message may have been lost with Redis."""
        if waiting and not self.inbox.draining and not self._stop.is_set():
            self.spawn(self.inbox.drain(), "drain")

    def _stop_unheard(self, outlets: Outlets) -> None:
        """Stop the work for gateways that nobody reads for any more."""
        now = self._loop.time()
        gone = {o.gateway for o in outlets.all() if o.deaf_since is not None and now - o.deaf_since > DEAF_SECONDS}
        for run in list(self.runs.running.values()):
            if run.ticket.gateway in gone:
                self.runs.cancel(run.ticket.id, contract.Failure("gateway_lost", "The gateway is gone.", 503))


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform != "win32":
        with contextlib.suppress(ImportError):
            import uvloop

            return uvloop.new_event_loop
    return asyncio.new_event_loop
