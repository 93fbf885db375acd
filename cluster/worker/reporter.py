"""Tells the control plane each second how the node is: its state with a time to live, and as an event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from cluster.engines.base import EngineAdapter
from cluster.worker import state
from cluster.worker.faults import SufferedFaults
from cluster.worker.identity import Identity
from cluster.worker.inbox import Inbox
from cluster.worker.local_models import DownloadedModels
from cluster.worker.runs import Runs
from cluster.worker.telemetry import Host, Sampler
from cluster.worker.version import AGENT
from cluster.worker.watch import Watch
from ollamamax import contract, logs
from ollamamax.bus import keys
from ollamamax.bus.background import Background
from ollamamax.observability import redis_round_trip

BEAT_SECONDS = 1.0
STATE_MILLISECONDS = 4000
ENGINE_SECONDS = 4.0
SKEW_TAKES = 0.5
"""Seconds within which Redis must have told its clock for that to say anything of ours."""
SLOW_SECONDS = 15.0
"""For so long an engine that does not answer when it is asked how it is still counts as it was; one that refuses does not."""

log = logs.get("cluster.worker.reporter")


class Reporter:
    """Three loops, apart from each other: an engine that hangs must not cost the node its lease."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        identity: Identity,
        boot: str,
        engine: EngineAdapter,
        local_models: DownloadedModels,
        runs: Runs,
        inbox: Inbox,
        sampler: Sampler,
        watch: Watch,
        background: Background,
        faults: SufferedFaults | None = None,
    ) -> None:
        self._redis = client
        self._identity = identity
        self._boot = boot
        self._engine = engine
        self._local_models = local_models
        self._runs = runs
        self._inbox = inbox
        self._sampler = sampler
        self._watch = watch
        self._background = background
        self._faults = faults
        self._answered_at = -SLOW_SECONDS
        self._seq = 0
        self._skew: float | None = None
        self._health: list[contract.Engine] = []
        self._models: list[contract.ModelState] = []
        self._host: Host | None = None
        self.waiting = 0
        """Tickets in the inbox at the last beat."""
        self.draining = False

    async def first_look(self) -> None:
        """Know the host and the engine once, so that the first state is complete."""
        self._host = await asyncio.to_thread(self._sampler.sample)
        await self._ask_engine()

    async def survey(self) -> None:
        """Ask the engine how it is, for ever."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._ask_engine()

    async def measure(self) -> None:
        """Look at the host, for ever."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._host = await asyncio.to_thread(self._sampler.sample)

    async def beat(self, then: Callable[[], None]) -> None:
        """Write the state each second, for ever, and call ``then`` after each."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        rate = state.TokenRate(next_at, self._runs.tokens)
        while True:
            try:
                await self._tell(rate)
            except (RedisError, OSError, TimeoutError) as error:
                redis_round_trip.failed()
                log.warning("state_waits_for_redis", error=str(error))
            then()
            next_at = max(next_at + BEAT_SECONDS, loop.time())
            await asyncio.sleep(next_at - loop.time())

    async def forget(self) -> None:
        """Take the state back: this node is gone."""
        await self._redis.delete(keys.node_state(self._identity.node), keys.node_brief(self._identity.node))

    def _described(self, health: contract.Engine) -> contract.Engine:
        """An engine is as well as what the node does with it: while a part of the agent is down, it takes no requests."""
        described = self._watch.described(health)
        if described.healthy and (down := self._background.problems()):
            told = "; ".join(f"{part}: {why}" for part, why in sorted(down.items()))
            return msgspec.structs.replace(
                described, healthy=False, error=f"A part of the node's agent is down ({told})"
            )
        return described

    async def _ask_engine(self) -> None:
        engine = self._engine
        try:
            async with asyncio.timeout(ENGINE_SECONDS):
                health = await engine.health()
                if health.healthy:
                    self._models = await engine.models()
                    load = await engine.capacity()
                    # What is started anew with other options has other slots.
                    self._inbox.resize(load.slots)
                    health.running, health.waiting = load.running, load.waiting
                    health.kv_cache_percent = load.kv_cache_percent
        except TimeoutError:
            loop = asyncio.get_running_loop()
            slow = loop.time() - self._answered_at
            if slow < SLOW_SECONDS:
                # A slow answer is no death: what was known stands.
                log.warning("engine_slow", seconds=round(slow, 1))
                return
            told = f"The {engine.kind} engine has not answered for {slow:.0f} s."
            health = contract.Engine(engine.kind, healthy=False, error=told, hosts_blobs=engine.hosts_blobs)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the engine, the node reports it
            told = str(error) or type(error).__name__
            health = contract.Engine(engine.kind, healthy=False, error=told, hosts_blobs=engine.hosts_blobs)
        if health.healthy:
            self._answered_at = asyncio.get_running_loop().time()
        else:
            self._models = []
        self._health = [health]

    async def _tell(self, rate: state.TokenRate) -> None:
        self.waiting = await self._inbox.look()
        if self._host is None:
            return
        self._seq += 1
        told = state.compose(
            node=self._identity.node,
            tenant=self._identity.tenant,
            boot=self._boot,
            seq=self._seq,
            at=time.time(),
            agent_version=AGENT,
            engines=[self._described(health) for health in self._health],
            capacity=self._inbox.slots,
            running=len(self._runs.running),
            waiting=self.waiting,
            tokens_per_second=rate.next(asyncio.get_running_loop().time(), self._runs.tokens),
            models=state.models(self._local_models.states(), self._models),
            host=self._host,
            draining=self.draining,
            clock_skew_seconds=self._skew,
            tokens_total=self._runs.tokens,
            silence=self._watch.silence(),
            peer=self._local_models.peer_place,
            faults=[] if self._faults is None else self._faults.allowed,
            fault=None if self._faults is None else self._faults.state,
        )
        data = contract.encode_json(told)
        brief = contract.encode_json(contract.StateBrief(told.node, told.agent_version, told.models_digest, told.boot))
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(keys.node_state(told.node), data, px=STATE_MILLISECONDS)
            pipe.publish(keys.node_state_channel(told.node), data)
            pipe.set(keys.node_brief(told.node), brief, px=STATE_MILLISECONDS)
            pipe.time()
            before, asked = time.time(), time.monotonic()
            *said, _, clock = await pipe.execute(raise_on_error=False)
            took = time.monotonic() - asked
        redis_round_trip.answered(took)
        for answer in said:
            if isinstance(answer, RedisError):
                raise answer
        # The rights of a node that joined an older control plane have neither the brief nor the clock until that renews them.
        if not isinstance(clock, RedisError) and took < SKEW_TAKES:
            self._skew = round(before + took / 2 - (clock[0] + clock[1] / 1e6), 3)
